import JSON

/// The first thing in which two tokenizers differ, one of them "here", the other "there".
package enum TokenizerDifference: Sendable, Equatable {
    /// An id has one token here and another, or none, there.
    case token(Int32, here: String?, there: String?)
    /// An id has one token, which stands for one text here and for another there.
    case text(Int32, here: String, there: String)
    /// A line of the identity that is no token's (`merge "a" "b"`), or none.
    case rule(here: String?, there: String?)
    /// A text's first token that is another: its place, counted from 0, its id and its token.
    case reading(Int, here: ReadToken?, there: ReadToken?)

    /// A token that a text was read as.
    package struct ReadToken: Sendable, Equatable {
        package var id: Int32
        package var token: String
    }

    /// The difference in words for a person, in one line.
    /// - Parameters:
    ///   - here: who has the one tokenizer, such as "the student".
    ///   - there: who has the other.
    package func described(here: String, there: String) -> String {
        switch self {
        case .token(let id, let ours, let theirs):
            "token id \(id) is \(Self.quoted(ours)) for \(here) and \(Self.quoted(theirs)) for \(there)"
        case .text(let id, let ours, let theirs):
            "token id \(id) stands for \(Self.quoted(ours)) for \(here) and for \(Self.quoted(theirs)) for \(there)"
        case .rule(let ours, let theirs):
            Self.described(ours, theirs, here: here, there: there)
        case .reading(let place, let ours, let theirs):
            "token \(place + 1) is \(Self.quoted(ours)) for \(here) and \(Self.quoted(theirs)) for \(there)"
        }
    }

    /// Two lines of the identities. They are in the order of `parts`, so that of two of different ranks the earlier one is
    /// what the other tokenizer has not.
    private static func described(_ ours: String?, _ theirs: String?, here: String, there: String) -> String {
        guard let ours, let theirs else {
            // A byte-level tokenizer's one decoder has no line, so that another's first one need not be what it lacks.
            let more = (ours ?? theirs).map(named) ?? "decoder"
            return "\(here) and \(there) have different decoders, from \(more) on"
        }
        let (first, second) = (rank(ours), rank(theirs))
        if first < second { return "\(here) has \(named(ours)), which \(there) has not" }
        if second < first { return "\(there) has \(named(theirs)), which \(here) has not" }
        return "\(here) has \(named(ours)) where \(there) has \(named(theirs))"
    }

    /// What a line of the identity begins with: its place among the others, as `forEachIdentityLine` tells them, and its
    /// name, for pre-tokenizers that in tokenizer.json.
    private static let parts: [String: (rank: Int, name: String)] = [
        "merge": (0, "merge"), "added": (1, "added token"), "normalizer": (2, "normalizer"),
        "split": (3, "pre-tokenizer Split"), "digits": (3, "pre-tokenizer Digits"),
        "punctuation": (3, "pre-tokenizer Punctuation"), "whitespace": (3, "pre-tokenizer Whitespace"),
        "whitespace_split": (3, "pre-tokenizer WhitespaceSplit"), "metaspace": (3, "pre-tokenizer Metaspace"),
        "bytes": (3, "pre-tokenizer ByteLevel"), "model": (4, "model"), "byte_fallback": (5, "byte_fallback"),
        "decoder": (6, "decoder"),
    ]

    private static func rank(_ line: String) -> Int { parts[firstWord(line)]?.rank ?? .max }

    private static func named(_ line: String) -> String {
        let word = firstWord(line)
        return shortened((parts[word]?.name ?? word) + line.dropFirst(word.count))
    }

    private static func firstWord(_ line: String) -> String { String(line.prefix { $0 != " " }) }

    private static func quoted(_ token: ReadToken?) -> String {
        token.map { "\(quoted($0.token)) (id \($0.id))" } ?? "none"
    }

    private static func quoted(_ text: String?) -> String {
        text.map { JSONValue.string(shortened($0)).text(pretty: false) } ?? "none"
    }

    /// Tokens may be pages long.
    private static func shortened(_ text: String) -> String {
        text.unicodeScalars.count > 60 ? String(String.UnicodeScalarView(text.unicodeScalars.prefix(57))) + "..." : text
    }
}
