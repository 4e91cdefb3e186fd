/// What a compute engine cannot do, in one line.
package struct EngineError: Error, CustomStringConvertible, Sendable {
    package let message: String
    package init(_ message: String) { self.message = message }
    package var description: String { message }
}
