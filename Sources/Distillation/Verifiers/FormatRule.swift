/// A rule about a response's form that a program checks, written `name argument`: `max_words 5`, `items dash a b c`.
package enum FormatRule: Sendable, Equatable, CustomStringConvertible {
    /// Every letter is a capital, or none is; at least one letter.
    case uppercase, lowercase
    /// Words are what white space separates.
    case words(Int), minWords(Int), maxWords(Int)
    /// Lines that are not blank.
    case lines(Int)
    case maxCharacters(Int)
    case startsWith(String), endsWith(String), contains(String), excludes(String)
    /// Begins with the first and ends with the second of two characters: `enclosed []`.
    case enclosed(Character, Character)
    /// The response is these items, in any order and case, each once.
    case items(Separator, [String])
    /// The response is these items in this order, in any case.
    case sequence(Separator, [String])
    /// Items are in ascending, or descending, order of their letters.
    case sorted(Separator), descending(Separator)

    /// What stands between items.
    package enum Separator: String, Sendable, CaseIterable {
        case comma, dash, dot, plus, slash, space

        package var text: Character {
            switch self {
            case .comma: ","
            case .dash: "-"
            case .dot: "."
            case .plus: "+"
            case .slash: "/"
            case .space: " "
            }
        }
    }

    /// Names of all rules, as prompt files write them.
    package static let names = [
        "uppercase", "lowercase", "words", "min_words", "max_words", "lines", "max_characters", "starts_with",
        "ends_with", "contains", "excludes", "enclosed", "items", "sequence", "sorted", "descending",
    ]

    /// Reads `name argument`.
    /// - Throws: ``VerifierError`` that says what was expected.
    package init(_ text: String) throws(VerifierError) {
        let parts = text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        let name = parts.first.map(String.init) ?? "", argument = parts.count > 1 ? String(parts[1]) : ""
        func number() throws(VerifierError) -> Int {
            guard let value = Int(argument), (0...1_000_000).contains(value) else {
                throw VerifierError("rule '\(name)' takes a number, such as '\(name) 5', not '\(argument.prefix(80))'")
            }
            return value
        }
        func some() throws(VerifierError) -> String {
            guard !argument.isEmpty else { throw VerifierError("rule '\(name)' takes a text, such as '\(name) word'") }
            return argument
        }
        func separator() throws(VerifierError) -> Separator {
            let word = argument.split(separator: " ").first.map(String.init) ?? ""
            guard let separator = Separator(rawValue: word) else {
                let known = Separator.allCases.map(\.rawValue).joined(separator: ", ")
                throw VerifierError("rule '\(name)' takes one of \(known), not '\(word.prefix(80))'")
            }
            return separator
        }
        func list() throws(VerifierError) -> [String] {
            let items = argument.split(separator: " ").dropFirst().map(String.init)
            guard !items.isEmpty else { throw VerifierError("rule '\(name)' takes items, such as '\(name) dash a b'") }
            return items
        }
        switch name {
        case "uppercase" where argument.isEmpty: self = .uppercase
        case "lowercase" where argument.isEmpty: self = .lowercase
        case "words": self = .words(try number())
        case "min_words": self = .minWords(try number())
        case "max_words": self = .maxWords(try number())
        case "lines": self = .lines(try number())
        case "max_characters": self = .maxCharacters(try number())
        case "starts_with": self = .startsWith(try some())
        case "ends_with": self = .endsWith(try some())
        case "contains": self = .contains(try some())
        case "excludes": self = .excludes(try some())
        case "enclosed":
            guard argument.count == 2, let first = argument.first, let last = argument.last else {
                throw VerifierError("rule 'enclosed' takes two characters, such as 'enclosed []'")
            }
            self = .enclosed(first, last)
        case "items": self = .items(try separator(), try list())
        case "sequence": self = .sequence(try separator(), try list())
        case "sorted": self = .sorted(try separator())
        case "descending": self = .descending(try separator())
        default:
            throw VerifierError(
                "unknown rule '\(text.prefix(80))'; expected one of \(Self.names.joined(separator: ", "))")
        }
    }

    package var description: String {
        switch self {
        case .uppercase: "uppercase"
        case .lowercase: "lowercase"
        case .words(let count): "words \(count)"
        case .minWords(let count): "min_words \(count)"
        case .maxWords(let count): "max_words \(count)"
        case .lines(let count): "lines \(count)"
        case .maxCharacters(let count): "max_characters \(count)"
        case .startsWith(let text): "starts_with \(text)"
        case .endsWith(let text): "ends_with \(text)"
        case .contains(let text): "contains \(text)"
        case .excludes(let text): "excludes \(text)"
        case .enclosed(let first, let last): "enclosed \(first)\(last)"
        case .items(let separator, let items): "items \(separator.rawValue) \(items.joined(separator: " "))"
        case .sequence(let separator, let items): "sequence \(separator.rawValue) \(items.joined(separator: " "))"
        case .sorted(let separator): "sorted \(separator.rawValue)"
        case .descending(let separator): "descending \(separator.rawValue)"
        }
    }
}
