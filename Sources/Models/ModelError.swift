import Wording

/// What is wrong with a model or its files.
package struct ModelError: MessageError, Equatable {
    package enum Code: String, Sendable {
        /// A file or folder is missing, or cannot be read.
        case unreadable
        /// A file's bytes contradict themselves or its format.
        case malformed
        /// A well-formed model that this engine does not run.
        case unsupported
        /// A tensor that the configuration calls for is absent or has another shape.
        case tensor
        /// A request that makes no sense for this model (a layer that is not there).
        case invalidArgument
        /// A file could not be written.
        case unwritable
    }

    package let code: Code
    /// One line: the file, what is wrong in it, what to do.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
