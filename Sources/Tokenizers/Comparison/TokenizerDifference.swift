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
            "\(here) has \(ours.map(Self.shortened) ?? "nothing more") where \(there) has "
                + "\(theirs.map(Self.shortened) ?? "nothing more")"
        case .reading(let place, let ours, let theirs):
            "token \(place + 1) is \(Self.quoted(ours)) for \(here) and \(Self.quoted(theirs)) for \(there)"
        }
    }

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
