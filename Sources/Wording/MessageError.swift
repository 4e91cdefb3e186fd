/// An error that is one line for a person: what was wrong, where, and what to do.
package protocol MessageError: Error, Sendable, CustomStringConvertible {
    var message: String { get }
}

extension MessageError {
    package var description: String { message }
}
