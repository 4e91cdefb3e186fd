internal import CZeroMQ
import Glibc

/// Socket options with a whole number as value.
package enum IntegerOption: Sendable {
    /// Milliseconds a closed socket keeps sending; -1 is for ever.
    case linger
    /// Messages a peer's outgoing queue holds; 0 is no limit.
    case sendHighWaterMark
    /// Messages a peer's incoming queue holds; 0 is no limit.
    case receiveHighWaterMark
    /// 1: sending to an unknown peer is an error instead of a silent drop (ROUTER).
    case routerMandatory
    /// 1: a new connection with a known identity replaces the old one (ROUTER).
    case routerHandover
    /// 1: let TCP probe idle connections.
    case tcpKeepalive
    /// Seconds without traffic before the first probe.
    case tcpKeepaliveIdle
    /// Seconds between probes.
    case tcpKeepaliveInterval
    /// Unanswered probes after which a connection is broken.
    case tcpKeepaliveCount
    /// Milliseconds for which sent bytes may be unacknowledged before a connection is broken.
    case tcpUnacknowledgedLimit
    /// Milliseconds until an unfinished handshake is given up.
    case handshakeInterval
    /// Milliseconds before the first reconnection.
    case reconnectInterval
    /// Milliseconds that the exponentially growing reconnection interval stops at; 0 is no growth.
    case reconnectIntervalMaximum
    /// Milliseconds that a blocking receive waits; -1 is for ever.
    case receiveTimeout
    /// 1: IPv6 as well.
    case ipv6
    /// Connections that may wait to be accepted.
    case backlog
    /// Bytes of the largest frame accepted (a peer that sends more is disconnected); -1 is no limit.
    case maximumMessageBytes

    var rawValue: Int32 {
        switch self {
        case .linger: ZMQ_LINGER
        case .sendHighWaterMark: ZMQ_SNDHWM
        case .receiveHighWaterMark: ZMQ_RCVHWM
        case .routerMandatory: ZMQ_ROUTER_MANDATORY
        case .routerHandover: ZMQ_ROUTER_HANDOVER
        case .tcpKeepalive: ZMQ_TCP_KEEPALIVE
        case .tcpKeepaliveIdle: ZMQ_TCP_KEEPALIVE_IDLE
        case .tcpKeepaliveInterval: ZMQ_TCP_KEEPALIVE_INTVL
        case .tcpKeepaliveCount: ZMQ_TCP_KEEPALIVE_CNT
        case .tcpUnacknowledgedLimit: ZMQ_TCP_MAXRT
        case .handshakeInterval: ZMQ_HANDSHAKE_IVL
        case .reconnectInterval: ZMQ_RECONNECT_IVL
        case .reconnectIntervalMaximum: ZMQ_RECONNECT_IVL_MAX
        case .receiveTimeout: ZMQ_RCVTIMEO
        case .ipv6: ZMQ_IPV6
        case .backlog: ZMQ_BACKLOG
        case .maximumMessageBytes: ZMQ_MAXMSGSIZE
        }
    }
}

extension Socket {
    /// Sets a numeric option. Most take effect for later binds and connects only.
    package func set(_ option: IntegerOption, to value: Int) throws(ZeroMQError) {
        let status = withHandle { handle in
            if option == .maximumMessageBytes {
                var wide = Int64(value)
                return zmq_setsockopt(handle, option.rawValue, &wide, MemoryLayout<Int64>.size)
            }
            var narrow = Int32(clamping: value)
            return zmq_setsockopt(handle, option.rawValue, &narrow, MemoryLayout<Int32>.size)
        }
        guard status == 0 else { throw .last("setting \(option) to \(value)") }
    }

    /// Sets the identity by which a ROUTER knows this socket: 1 ... 255 bytes, the first not zero.
    package func setRoutingID(_ identity: [UInt8]) throws(ZeroMQError) {
        try set(ZMQ_ROUTING_ID, identity, "routing id")
    }

    /// Reads a numeric option back.
    package func get(_ option: IntegerOption) throws(ZeroMQError) -> Int {
        var wide: Int64 = 0
        var narrow: Int32 = 0
        let status = withHandle { handle in
            if option == .maximumMessageBytes {
                var count = MemoryLayout<Int64>.size
                return zmq_getsockopt(handle, option.rawValue, &wide, &count)
            }
            var count = MemoryLayout<Int32>.size
            return zmq_getsockopt(handle, option.rawValue, &narrow, &count)
        }
        guard status == 0 else { throw .last("reading \(option)") }
        return option == .maximumMessageBytes ? Int(wide) : Int(narrow)
    }

    /// Becomes readable when something about the socket changes, and stays so until the socket is used: nothing may be
    /// waiting (`tryReceive` gave nil) when one begins to wait for it.
    package var descriptor: Int32 { get throws(ZeroMQError) { try number(ZMQ_FD, "descriptor") } }

    /// What is ready now.
    var events: PollEvents {
        get throws(ZeroMQError) {
            let events = try number(ZMQ_EVENTS, "events")
            var ready: PollEvents = []
            if events & ZMQ_POLLIN != 0 { ready.insert(.readable) }
            if events & ZMQ_POLLOUT != 0 { ready.insert(.writable) }
            return ready
        }
    }

    private func number(_ option: Int32, _ what: String) throws(ZeroMQError) -> Int32 {
        var value: Int32 = 0
        var count = MemoryLayout<Int32>.size
        while withHandle({ zmq_getsockopt($0, option, &value, &count) }) != 0 {
            guard zmq_errno() == EINTR else { throw .last("reading the socket's \(what)") }
        }
        return value
    }

    func set(_ option: Int32, _ bytes: [UInt8], _ what: String) throws(ZeroMQError) {
        let status = withHandle { handle in
            bytes.withUnsafeBytes { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
        }
        guard status == 0 else { throw .last("setting the \(what)") }
    }
}
