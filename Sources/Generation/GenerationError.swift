import Wording

/// What was wrong with a request, where, and what to do.
package struct GenerationError: MessageError, Equatable {
    package let message: String
    package init(_ message: String) { self.message = message }
}
