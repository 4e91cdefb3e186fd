internal import CZeroMQ
import Glibc

/// How a socket routes messages.
package enum SocketType: Sendable {
    case pair, dealer, router, reply

    var rawValue: Int32 {
        switch self {
        case .pair: ZMQ_PAIR
        case .dealer: ZMQ_DEALER
        case .router: ZMQ_ROUTER
        case .reply: ZMQ_REP
        }
    }
}

/// A libzmq socket. Use it from one thread at a time; it is not Sendable.
///
/// Its linger is 0 (unsent messages are dropped when it closes) until set otherwise.
package final class Socket {
    let context: Context
    private var handle: UnsafeMutableRawPointer?

    package init(_ context: Context, _ type: SocketType) throws(ZeroMQError) {
        guard let handle = zmq_socket(context.handle, type.rawValue) else { throw .last("creating a socket") }
        self.context = context
        self.handle = handle
        try set(.linger, to: 0)
    }

    deinit { close() }

    /// Closes the socket; queued messages are still sent during its linger. Closing twice is fine.
    package func close() {
        if let handle { zmq_close(handle) }
        handle = nil
    }

    /// Listens at `endpoint`; port `*` takes a free one, which `lastEndpoint` then tells.
    package func bind(_ endpoint: String) throws(ZeroMQError) {
        try checkPort(of: endpoint)
        guard zmq_bind(handle, endpoint) == 0 else { throw .last("bind", endpoint: endpoint) }
    }

    /// Connects to `endpoint` in the background, and again whenever the connection breaks.
    package func connect(_ endpoint: String) throws(ZeroMQError) {
        try checkPort(of: endpoint)
        guard zmq_connect(handle, endpoint) == 0 else { throw .last("connect", endpoint: endpoint) }
    }

    /// libzmq takes ports modulo 65536.
    private func checkPort(of endpoint: String) throws(ZeroMQError) {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else { return }
        let port = endpoint[endpoint.index(after: colon)...]
        guard let number = Int(port), !(0...65535).contains(number) else { return }
        throw ZeroMQError(code: EINVAL, message: "\(endpoint): port \(port) is outside 1 ... 65535")
    }

    /// The endpoint last bound or connected, with wildcards filled in.
    package var lastEndpoint: String {
        get throws(ZeroMQError) {
            var buffer = [CChar](repeating: 0, count: 1024)
            var count = buffer.count
            guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &buffer, &count) == 0 else {
                throw .last("reading the endpoint")
            }
            return String(decoding: buffer[..<max(0, count - 1)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    /// Sends one frame without waiting. False when the socket cannot take it now (nothing was sent, the frame is
    /// intact); true consumes the frame. Later frames of a message whose first was taken are always taken.
    package func trySend(_ frame: SocketFrame, more: Bool) throws(ZeroMQError) -> Bool {
        let flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)
        while zmq_msg_send(frame.message, handle, flags) < 0 {
            switch zmq_errno() {
            case EINTR: continue
            case EAGAIN: return false
            default: throw .last("send")
            }
        }
        return true
    }

    /// Sends a whole message, waiting until the socket takes it.
    package func send(_ frames: [[UInt8]]) throws(ZeroMQError) {
        for (index, bytes) in frames.enumerated() {
            let frame = try SocketFrame(bytes)
            while zmq_msg_send(frame.message, handle, index + 1 < frames.count ? ZMQ_SNDMORE : 0) < 0 {
                guard zmq_errno() == EINTR else { throw .last("send") }
            }
        }
    }

    /// The frames of the next message, or nil when none is waiting. Frames after the first `maximum` are read and
    /// dropped; `each` sees the size of every one.
    package func tryReceive(
        keeping maximum: Int = .max, each: (Int) -> Void = { _ in }
    ) throws(ZeroMQError) -> [SocketFrame]? {
        try receive(flags: ZMQ_DONTWAIT, keeping: maximum, each: each)
    }

    /// All frames of the next message, waiting for it. Throws when `receiveTimeout` passes without one.
    package func receive() throws(ZeroMQError) -> [SocketFrame] {
        guard let frames = try receive(flags: 0, keeping: .max, each: { _ in }) else {
            throw ZeroMQError(code: EAGAIN, message: "no message arrived in time")
        }
        return frames
    }

    private func receive(
        flags: Int32, keeping maximum: Int, each: (Int) -> Void
    ) throws(ZeroMQError) -> [SocketFrame]? {
        var frames: [SocketFrame] = []
        while true {
            let frame = SocketFrame()
            while zmq_msg_recv(frame.message, handle, flags) < 0 {
                switch zmq_errno() {
                case EINTR: continue
                case EAGAIN where frames.isEmpty: return nil
                default: throw .last("receive")
                }
            }
            each(frame.count)
            if frames.count < maximum { frames.append(frame) }
            if !frame.hasMore { return frames }
        }
    }

    func withHandle<Result>(_ body: (UnsafeMutableRawPointer?) -> Result) -> Result { body(handle) }
}
