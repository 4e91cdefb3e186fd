internal import CZeroMQ
import Glibc
import Wording

/// A failed libzmq call.
package struct ZeroMQError: MessageError, Equatable {
    /// `errno` after the call, or one of libzmq's own numbers.
    package var code: Int32
    /// What was attempted, where it failed, and what to do, in one line.
    package var message: String

    package init(code: Int32, message: String) {
        self.code = code
        self.message = message
    }

    /// The error of the libzmq call that just failed on this thread.
    static func last(_ operation: String, endpoint: String? = nil) -> ZeroMQError {
        let code = zmq_errno()
        guard let endpoint else { return ZeroMQError(code: code, message: "\(operation): \(text(of: code))") }
        let message =
            switch code {
            case EADDRINUSE:
                "\(endpoint) is already in use by another process; choose another port, "
                    + "with pipeline.endpoint in the configuration or with --bind"
            case EADDRNOTAVAIL, ENODEV:
                "\(endpoint): no network interface of this machine has that address; bind to one that exists, "
                    + "or to 127.0.0.1"
            case EINVAL, EPROTONOSUPPORT:
                "\(endpoint) is not a valid endpoint; write tcp://ADDRESS:PORT, for example tcp://127.0.0.1:5555"
            case EACCES:
                "\(endpoint): permission denied; choose a port above 1023"
            default:
                "\(endpoint): \(operation): \(text(of: code))"
            }
        return ZeroMQError(code: code, message: message)
    }

    private static func text(of code: Int32) -> String { String(cString: zmq_strerror(code)) }
}
