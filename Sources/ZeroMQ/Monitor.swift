internal import CZeroMQ
import Glibc

/// Something that happened to a connection of a socket.
package enum ConnectionEvent: Sendable, Equatable {
    /// A peer has connected; nothing is known of it yet.
    case accepted(descriptor: Int32)
    /// A handshake has succeeded: messages can pass.
    case connected
    /// The connection of this descriptor has ended. The descriptor may be another's from here on.
    case disconnected(descriptor: Int32)
    /// A handshake has failed, and why. The next `disconnected` is of the same connection.
    case handshakeFailed(HandshakeFailure)
    /// The peer does not accept this side's key (ZAP status, such as 400).
    case refused(status: Int)
    /// No connection could be accepted, for want of descriptors for example: `errno`.
    case acceptFailed(code: Int32)
}

/// Why a handshake did not succeed, as far as libzmq tells.
package enum HandshakeFailure: Sendable, Equatable {
    /// One side encrypts and the other does not.
    case mechanism
    /// What should decrypt does not: a wrong key.
    case key
    /// What came was not ZMTP, or not as it should be.
    case malformed
    /// The connection broke, or time was up.
    case unfinished
}

/// Tells of the connections of a socket. Use it from the socket's thread, and close it before the socket.
package final class ConnectionMonitor {
    /// Readable when `next` has something.
    package let socket: Socket
    private let monitored: Socket
    private var isClosed = false

    package init(_ monitored: Socket) throws(ZeroMQError) {
        self.monitored = monitored
        // A name that none had before: libzmq forgets one some time after its socket.
        let endpoint = "inproc://monitor-\(UInt64.random(in: 0 ... .max))"
        let events =
            ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPT_FAILED
            | ZMQ_EVENT_HANDSHAKE_SUCCEEDED
            | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
            | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
        guard monitored.withHandle({ zmq_socket_monitor($0, endpoint, events) }) == 0 else {
            throw .last("monitoring a socket")
        }
        socket = try Socket(monitored.context, .pair)
        // libzmq's thread waits for a monitor whose queue is full.
        try socket.set(.receiveHighWaterMark, to: 0)
        try socket.connect(endpoint)
    }

    deinit { close() }

    /// Stops monitoring. Closing twice is fine.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        // In this order: an event for a monitor that is gone would hold up libzmq's thread.
        _ = monitored.withHandle { zmq_socket_monitor($0, nil, 0) }
        socket.close()
    }

    /// The next event, nil when there is none now.
    package func next() throws(ZeroMQError) -> ConnectionEvent? {
        while let frames = try socket.tryReceive() {
            if let event = frames.first.flatMap({ Self.event($0.bytes) }) { return event }
        }
        return nil
    }

    /// An event is its number in 2 bytes and its value in 4, as this machine orders them.
    private static func event(_ bytes: UnsafeRawBufferPointer) -> ConnectionEvent? {
        guard bytes.count == 6 else { return nil }
        let value = bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self)
        return switch Int32(bytes.loadUnaligned(as: UInt16.self)) {
        case ZMQ_EVENT_ACCEPTED: .accepted(descriptor: value)
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: .connected
        case ZMQ_EVENT_DISCONNECTED: .disconnected(descriptor: value)
        case ZMQ_EVENT_ACCEPT_FAILED: .acceptFailed(code: value)
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: .refused(status: Int(value))
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: .handshakeFailed(.unfinished)
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
            switch value {
            case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: .handshakeFailed(.mechanism)
            case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC, ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE: .handshakeFailed(.key)
            default: .handshakeFailed(.malformed)
            }
        default: nil
        }
    }
}
