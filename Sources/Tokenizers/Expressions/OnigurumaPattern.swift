/// A regular expression as tokenizer files have them, rewritten so that PCRE2 reads it as Oniguruma does.
///
/// The Hugging Face library matches with Oniguruma in its own syntax. What the two read alike is copied; what they read
/// differently (words, nested sets, intervals, options) is spelled out; what has no spelling is refused by name.
/// Syntax: github.com/kkos/oniguruma/blob/master/doc/RE
struct OnigurumaPattern {
    let source: String
    let scalars: [Unicode.Scalar]
    var position = 0
    /// What PCRE2 is given.
    var out: [Unicode.Scalar] = []
    /// Where what a quantifier applies to begins in `out`; nil where there is nothing.
    private var atom: Int?
    private var groups: [Group] = []
    /// Whether letters match in either case here.
    var ignoresCase = false
    /// The literal before, where another follows it at once.
    private var lastLiteral: Unicode.Scalar?

    private struct Group {
        var start: Int
        /// Whether case is ignored around it.
        var ignoredCase: Bool
        /// Groups that options opened in it and that end with it.
        var inner = 0
    }

    /// The characters of a word, as `\w` and `\b` have it; within brackets it is without six of Latin-1.
    static let word = #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}"#
    static let wordAlone = word + #"\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}"#
    static let hexDigits = "0-9A-Fa-f"

    /// Bytes of the longest pattern; real ones have some thousand.
    private static let longestSource = 1 << 16
    /// Quantifiers of one thing.
    private static let mostQuantifiers = 8

    /// - Throws: ``TokenizerError`` naming what is not supported.
    static func rewritten(_ source: String) throws(TokenizerError) -> String {
        guard source.utf8.count <= longestSource else {
            throw TokenizerError(.malformed, "a pattern of \(source.utf8.count) bytes is beyond any real one")
        }
        var pattern = OnigurumaPattern(source)
        try pattern.rewrite()
        return String(String.UnicodeScalarView(pattern.out))
    }

    private init(_ source: String) {
        self.source = source
        scalars = Array(source.unicodeScalars)
    }

    // MARK: Reading

    var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    func peek(_ text: String) -> Bool { scalars[position...].starts(with: text.unicodeScalars) }

    mutating func take(_ text: String) -> Bool {
        guard peek(text) else { return false }
        position += text.unicodeScalars.count
        return true
    }

    mutating func take(while isWanted: (Unicode.Scalar) -> Bool) -> String {
        var taken = String.UnicodeScalarView()
        while let scalar = next, isWanted(scalar) {
            taken.append(scalar)
            position += 1
        }
        return String(taken)
    }

    func unsupported(_ what: String) -> TokenizerError {
        TokenizerError(.unsupported, "pattern '\(source)': \(what) is not supported")
    }

    // MARK: Writing

    /// Appends something that a quantifier may follow.
    mutating func append(atom text: String) {
        atom = out.count
        lastLiteral = nil
        out += text.unicodeScalars
    }

    /// Appends something that none may follow.
    mutating func append(_ text: String) {
        atom = nil
        lastLiteral = nil
        out += text.unicodeScalars
    }

    private mutating func rewrite() throws(TokenizerError) {
        while let scalar = next {
            position += 1
            switch scalar {
            case "\\": try escape()
            case "[":
                let set = try bracket()
                append(atom: text(of: set))
            case "(": try open()
            case ")": try close()
            case "|": append("|")
            case "^", "$", ".": append(atom: String(scalar))
            case "*", "+", "?":
                position -= 1
                try quantifiers()
            case "{":
                position -= 1
                if interval() != nil {
                    try quantifiers()
                } else {
                    position += 1
                    try literal(scalar, as: "\\{")
                }
            default: try literal(scalar, as: String(scalar))
            }
        }
        closeInner(groups.isEmpty ? topLevelInner : 0)
    }

    /// Groups that options opened outside of all parentheses.
    private var topLevelInner = 0

    private mutating func closeInner(_ count: Int) {
        for _ in 0..<count { out.append(")") }
    }

    mutating func literal(_ scalar: Unicode.Scalar, as text: String) throws(TokenizerError) {
        if ignoresCase {
            let pair = lastLiteral.map { "\($0)\(scalar)".lowercased() }
            guard !Self.foldsToSeveral(scalar), !["ss", "ff", "fi", "fl", "st"].contains(pair) else {
                throw unsupported("'\(pair ?? String(scalar))' where case is ignored")
            }
        }
        append(atom: text)
        lastLiteral = scalar
    }

    /// Whether ignoring case makes several letters of one, or one of several.
    static func foldsToSeveral(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.value >= 0x80 else { return false }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: return true
        default:
            return properties.uppercaseMapping.unicodeScalars.count > 1
                || properties.lowercaseMapping.unicodeScalars.count > 1 || scalar == "\u{1E9E}"
                || scalar == "\u{2BC}" || scalar == "\u{2BE}"
        }
    }

    // MARK: Groups

    private mutating func open() throws(TokenizerError) {
        let start = out.count
        if peek("*") { throw unsupported("'(*'") }
        guard take("?") else { return begin(start, "(") }
        for kind in [":", "=", "!", ">", "<=", "<!"] where take(kind) { return begin(start, "(?\(kind)") }
        if take("#") {
            _ = take { $0 != ")" }
            _ = take(")")
            return
        }
        if take("<") {
            let name = take { $0 != ">" }
            guard take(">") else { throw unsupported("a group's name without an end") }
            return begin(start, "(?<\(name)>")
        }
        let options = take { $0 == "i" || $0 == "m" || $0 == "-" }
        let parts = options.split(separator: "-", omittingEmptySubsequences: false)
        guard !options.isEmpty, parts.count <= 2 else {
            throw unsupported("'(?\(options)\(next.map(String.init) ?? "")'")
        }
        var ignores = ignoresCase
        if parts[0].contains("i") { ignores = true }
        if parts.count == 2, parts[1].contains("i") { ignores = false }
        // A dot that matches line feeds, too, is 'm' here and 's' there.
        let head = "(?\(options.map { $0 == "m" ? "s" : String($0) }.joined()):"
        if take(":") {
            begin(start, head)
            ignoresCase = ignores
            return
        }
        guard take(")") else { throw unsupported("'(?\(options)\(next.map(String.init) ?? "")'") }
        // Options without a group of their own hold for the rest of the group that they stand in, all its alternatives.
        append(head)
        ignoresCase = ignores
        if groups.isEmpty { topLevelInner += 1 } else { groups[groups.count - 1].inner += 1 }
    }

    private mutating func begin(_ start: Int, _ head: String) {
        groups.append(Group(start: start, ignoredCase: ignoresCase))
        append(head)
    }

    private mutating func close() throws(TokenizerError) {
        guard let group = groups.popLast() else { throw unsupported("a closing parenthesis that nothing opens") }
        closeInner(group.inner)
        out.append(")")
        ignoresCase = group.ignoredCase
        atom = group.start
        lastLiteral = nil
    }

    // MARK: Quantifiers

    /// Takes the interval at the position; nil: there is none.
    /// - Returns: its text as PCRE2 reads it, and whether its bounds are one.
    private mutating func interval() -> (text: String, isExact: Bool, end: Int)? {
        let start = position
        defer { position = start }
        guard take("{") else { return nil }
        let low = take { ("0"..."9").contains($0) }
        let hasComma = take(",")
        let high = take { ("0"..."9").contains($0) }
        guard take("}"), !low.isEmpty || !high.isEmpty else { return nil }
        guard hasComma else { return ("{\(low)}", true, position) }
        return ("{\(low.isEmpty ? "0" : low),\(high)}", false, position)
    }

    /// Takes all quantifiers that stand here; each applies to what those before it have made.
    private mutating func quantifiers() throws(TokenizerError) {
        var count = 0
        lastLiteral = nil
        while let scalar = next {
            var text: String
            // Of an interval a plus is another quantifier, and a question mark is one where it has one bound.
            var suffixes = ["?", "+"]
            if scalar == "{" {
                guard let interval = interval() else { break }
                text = interval.text
                position = interval.end
                suffixes = interval.isExact ? [] : ["?"]
            } else if scalar == "*" || scalar == "+" || scalar == "?" {
                text = String(scalar)
                position += 1
            } else {
                break
            }
            for suffix in suffixes where peek(suffix) {
                position += 1
                text += suffix
                break
            }
            guard count < Self.mostQuantifiers else { throw unsupported("more than \(count) quantifiers in a row") }
            if count > 0, let atom {
                out.insert(contentsOf: "(?:".unicodeScalars, at: atom)
                out.append(")")
            }
            out += text.unicodeScalars
            count += 1
        }
        atom = nil
    }
}
