import Wording

extension FormatRule {
    /// Whether a response keeps the rule. White space around the response does not count.
    func isKept(by response: String) -> Bool {
        let text = response.trimmed
        let letters = text.filter(\.isLetter)
        switch self {
        case .uppercase: return !letters.isEmpty && !letters.contains(where: \.isLowercase)
        case .lowercase: return !letters.isEmpty && !letters.contains(where: \.isUppercase)
        case .words(let count): return Self.wordCount(text) == count
        case .minWords(let count): return Self.wordCount(text) >= count
        case .maxWords(let count): return Self.wordCount(text) <= count
        case .lines(let count):
            return text.split(whereSeparator: \.isNewline).count { !$0.allSatisfy(\.isWhitespace) } == count
        case .maxCharacters(let count): return text.count <= count
        case .startsWith(let start): return text.hasPrefix(start)
        case .endsWith(let end): return text.hasSuffix(end)
        case .contains(let part): return text.contains(part)
        case .excludes(let part): return !text.contains(part)
        case .enclosed(let first, let last): return text.count >= 2 && text.first == first && text.last == last
        case .items(let separator, let items): return Self.items(text, separator).sorted() == Self.plain(items).sorted()
        case .sequence(let separator, let items): return Self.items(text, separator) == Self.plain(items)
        case .sorted(let separator):
            let items = Self.items(text, separator)
            return items.count > 1 && items == items.sorted()
        case .descending(let separator):
            let items = Self.items(text, separator)
            return items.count > 1 && items == items.sorted(by: >)
        }
    }

    private static func wordCount(_ text: Substring) -> Int { text.split(whereSeparator: \.isWhitespace).count }

    private static func plain(_ items: [String]) -> [String] { items.map { $0.lowercased() } }

    /// What the separator separates, in small letters; brackets around all of it do not count.
    private static func items(_ text: Substring, _ separator: Separator) -> [String] {
        var text = text
        let pairs: [Character: Character] = ["[": "]", "(": ")", "{": "}", "<": ">"]
        if text.count >= 2, let first = text.first, let last = pairs[first], text.last == last {
            text = text.dropFirst().dropLast()
        }
        return text.split(separator: separator.text, omittingEmptySubsequences: false).map { $0.lowercased() }
    }
}
