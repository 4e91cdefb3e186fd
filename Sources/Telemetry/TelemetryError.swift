import Wording

/// A run's record could not be written or read.
package struct TelemetryError: MessageError, Equatable {
    package enum Code: Sendable { case cannotOpen, cannotWrite, cannotRead }
    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
