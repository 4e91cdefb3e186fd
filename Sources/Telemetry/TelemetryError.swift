/// A run's record could not be written or read.
public struct TelemetryError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable { case cannotOpen, cannotWrite, cannotRead }
    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
