import Wording

/// What a compute engine cannot do, in one line.
package struct EngineError: MessageError {
    package let message: String
    package init(_ message: String) { self.message = message }
}
