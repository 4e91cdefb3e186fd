import Wording

/// What is wrong with a tokenizer, its file, or a text it cannot split.
package struct TokenizerError: MessageError, Equatable {
    package enum Code: String, Sendable {
        /// A file is missing or cannot be read.
        case unreadable
        /// The definition contradicts itself or its format.
        case malformed
        /// A well-formed part that this tokenizer does not have.
        case unsupported
        /// A text on which a pattern of the definition gives up.
        case pattern
    }

    package let code: Code
    /// One line: what is wrong, where, what to do.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
