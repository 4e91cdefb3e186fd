import Files
import Wording

/// A run's record could not be written or read.
package struct TelemetryError: MessageError, Equatable {
    /// The kind of failure.
    package enum Code: Sendable { case cannotOpen, cannotWrite, cannotRead }
    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension TelemetryError {
    init(_ error: FileError) {
        let code: Code =
            switch error.attempt {
            case .use, .openForWriting: .cannotOpen
            case .read, .map: .cannotRead
            case .write, .cut, .place: .cannotWrite
            }
        self.init(code, error.description)
    }
}
