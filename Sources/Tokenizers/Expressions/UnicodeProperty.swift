import Patterns

/// Names of properties in `\p{...}`: Oniguruma takes them in any case, with spaces, `-` and `_` anywhere.
enum UnicodeProperty {
    /// The name as PCRE2 has it for the same characters; nil for one that is not known.
    static func spelling(of name: String) -> String? {
        guard !name.isEmpty, name.utf8.allSatisfy({ isNamePart($0) }) else { return nil }
        let key = name.lowercased().filter { $0 != " " && $0 != "_" && $0 != "-" }
        if let known = known[key] { return known }
        // A script's own characters, without those that are common to several, which newer versions of PCRE2 add.
        if compiles("sc:\(name)") { return "sc:\(name)" }
        return compiles(name) ? name : nil
    }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: " "):
            true
        default: false
        }
    }

    private static func compiles(_ name: String) -> Bool {
        (try? CompiledPattern("\\p{\(name)}", syntax: .unicode, matchLimit: 1, heapLimit: 1)) != nil
    }

    private static let known: [String: String] = {
        var known: [String: String] = [:]
        for category in [
            "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps",
            "Pe",
            "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Cn", "Co", "Cs",
        ] { known[category.lowercased()] = category }
        for (long, short) in [
            ("letter", "L"), ("uppercaseletter", "Lu"), ("lowercaseletter", "Ll"), ("titlecaseletter", "Lt"),
            ("modifierletter", "Lm"), ("otherletter", "Lo"), ("mark", "M"), ("combiningmark", "M"),
            ("nonspacingmark", "Mn"), ("spacingmark", "Mc"), ("enclosingmark", "Me"), ("number", "N"),
            ("decimalnumber", "Nd"), ("digit", "Nd"), ("letternumber", "Nl"), ("othernumber", "No"),
            ("punctuation", "P"), ("punct", "P"), ("connectorpunctuation", "Pc"), ("dashpunctuation", "Pd"),
            ("openpunctuation", "Ps"), ("closepunctuation", "Pe"), ("initialpunctuation", "Pi"),
            ("finalpunctuation", "Pf"), ("otherpunctuation", "Po"), ("symbol", "S"), ("mathsymbol", "Sm"),
            ("currencysymbol", "Sc"), ("modifiersymbol", "Sk"), ("othersymbol", "So"), ("separator", "Z"),
            ("spaceseparator", "Zs"), ("lineseparator", "Zl"), ("paragraphseparator", "Zp"), ("other", "C"),
            ("control", "Cc"), ("cntrl", "Cc"), ("format", "Cf"), ("unassigned", "Cn"), ("privateuse", "Co"),
            ("any", "Any"), ("alpha", "Alphabetic"), ("alphabetic", "Alphabetic"), ("upper", "Uppercase"),
            ("uppercase", "Uppercase"), ("lower", "Lowercase"), ("lowercase", "Lowercase"),
            ("space", "White_Space"), ("whitespace", "White_Space"),
        ] { known[long] = short }
        return known
    }()
}
