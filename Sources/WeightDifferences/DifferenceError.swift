import Wording

/// A difference that cannot be read or applied.
package struct DifferenceError: MessageError, Equatable {
    /// One line for a person.
    package var message: String

    init(_ message: String) { self.message = message }
}
