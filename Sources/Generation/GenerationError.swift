/// What was wrong with a request, where, and what to do.
package struct GenerationError: Error, CustomStringConvertible, Equatable {
    package let message: String
    package init(_ message: String) { self.message = message }
    package var description: String { message }
}
