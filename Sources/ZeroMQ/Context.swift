internal import CZeroMQ
import Glibc

/// libzmq's own threads and the names of in-process endpoints. Sockets keep their context alive.
///
/// `@unchecked Sendable`: a libzmq context may be used from any thread.
package final class Context: @unchecked Sendable {
    let handle: UnsafeMutableRawPointer

    /// - Parameter ioThreads: libzmq's background threads; one carries about 1 GB/s.
    package init(ioThreads: Int = 1) throws(ZeroMQError) {
        guard let handle = zmq_ctx_new() else { throw .last("creating a ZeroMQ context") }
        self.handle = handle
        zmq_ctx_set(handle, ZMQ_IO_THREADS, Int32(ioThreads))
        // Sockets that nobody configured must not hold up the end of the process.
        zmq_ctx_set(handle, ZMQ_BLOCKY, 0)
    }

    deinit {
        // Every socket holds its context, so all are closed; this waits for their linger, which is always bounded.
        while zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {}
    }

    /// Whether libzmq was built with a transport or mechanism: "ipc", "curve", ...
    package static func supports(_ capability: String) -> Bool { zmq_has(capability) == 1 }
}
