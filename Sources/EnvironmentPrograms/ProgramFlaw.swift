import Wording

/// What a program did wrong: it is ended, and its episodes are played again by another one.
package enum ProgramFlaw: MessageError, Equatable {
    /// It could not be started.
    case notStarted(String)
    /// It ended, or closed its standard output; how.
    case ended(String)
    /// It gave no answer for so long.
    case late(Duration)
    /// It wrote a line that is longer than one may be.
    case tooLong
    /// It wrote what nobody asked for.
    case unasked(String)
    /// It wrote a line that is no answer; why not.
    case noAnswer(String)

    package var message: String {
        switch self {
        case .notStarted(let reason): "could not be started: \(reason)"
        case .ended(let how): how
        case .late(let limit): "gave no answer within \(limit.shortSeconds) s"
        case .tooLong: "wrote a line of more than \(ProgramConversation.longestLine) bytes"
        case .unasked(let text): "wrote what nobody asked for: \(text)"
        case .noAnswer(let reason): "gave an answer that \(reason)"
        }
    }
}

/// How a program failed.
package struct ProgramFailure: MessageError, Equatable {
    package var flaw: ProgramFlaw
    /// The last line that it wrote to its standard error; nil: none.
    package var lastWords: String?

    /// Continues a sentence that begins with the program's command.
    package var message: String { flaw.message + (lastWords.map { "; its last words: \($0)" } ?? "") }
}
