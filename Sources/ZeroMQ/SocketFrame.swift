internal import CZeroMQ

/// One frame as libzmq holds it. Its bytes are immutable and may start at any address.
///
/// `@unchecked Sendable`: the bytes do not change after the initializer or the receiving call returns, and sending
/// consumes the object.
package final class SocketFrame: @unchecked Sendable {
    /// libzmq wants a stable address.
    let message: UnsafeMutablePointer<zmq_msg_t>

    /// An empty frame, to receive into.
    init() {
        message = .allocate(capacity: 1)
        zmq_msg_init(message)
    }

    /// A frame of `count` bytes that the caller fills.
    private init(count: Int) throws(ZeroMQError) {
        message = .allocate(capacity: 1)
        guard zmq_msg_init_size(message, count) == 0 else {
            message.deallocate()
            throw .last("allocating a frame of \(count) bytes")
        }
    }

    /// A frame with a copy of `bytes`.
    package convenience init(copying bytes: UnsafeRawBufferPointer) throws(ZeroMQError) {
        try self.init(count: bytes.count)
        if let source = bytes.baseAddress { zmq_msg_data(message).copyMemory(from: source, byteCount: bytes.count) }
    }

    /// A frame with a copy of `bytes`.
    package convenience init(_ bytes: [UInt8]) throws(ZeroMQError) {
        try self.init(count: bytes.count)
        bytes.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(start: zmq_msg_data(message), count: source.count).copyMemory(from: source)
        }
    }

    /// A frame over `bytes` themselves. libzmq keeps `owner` alive until it has sent them, and releases it on one of
    /// its own threads; the bytes must stay unchanged for as long as `owner` lives.
    package init(referencing bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable) throws(ZeroMQError) {
        message = .allocate(capacity: 1)
        let retained = Unmanaged<AnyObject>.passRetained(owner)
        let status = zmq_msg_init_data(
            message, UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count,
            { _, hint in Unmanaged<AnyObject>.fromOpaque(hint!).release() }, retained.toOpaque())
        guard status == 0 else {
            retained.release()
            message.deallocate()
            throw .last("allocating a frame")
        }
    }

    deinit {
        zmq_msg_close(message)
        message.deallocate()
    }

    /// The bytes, valid for as long as the object lives.
    package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: zmq_msg_data(message), count: zmq_msg_size(message))
    }

    package var count: Int { zmq_msg_size(message) }

    /// A copy of the bytes.
    package var array: [UInt8] { Array(bytes) }

    /// Whether another frame of the same message follows (received frames).
    package var hasMore: Bool { zmq_msg_more(message) != 0 }
}
