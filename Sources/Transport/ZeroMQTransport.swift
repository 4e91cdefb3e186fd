import Logging
import Wire
import Wording
import ZeroMQ

/// A transport over a ZeroMQ socket: ROUTER at the learner, DEALER at a member.
///
/// One thread of its own owns the socket. Senders queue and wake it; the consumer of `events` is fed through a
/// bounded queue, and while that is full the socket is not read, so that TCP slows the senders down.
package final class ZeroMQTransport: Transport {
    /// Where it listens or connects to, with the port filled in.
    package let endpoint: String
    private let loop: SocketLoop

    private init(endpoint: String, loop: SocketLoop) {
        self.endpoint = endpoint
        self.loop = loop
        loop.start()
    }

    deinit { loop.requestClose() }

    /// Listens at `endpoint` (`tcp://ADDRESS:PORT`, port `*` for a free one). Throws `ZeroMQError` when it cannot.
    ///
    /// - Parameter keys: encrypts, and lets in whom its policy admits; nil: anybody, in plain text.
    package static func learner(
        bind endpoint: String, keys: LearnerKeys? = nil, options: TransportOptions = .init(), logger: Logger
    ) throws -> ZeroMQTransport {
        let context = try Context()
        let socket = try makeSocket(context, .router, endpoint, options)
        try socket.set(.routerMandatory, to: 1)
        try socket.set(.handshakeInterval, to: options.connections.handshake.milliseconds)
        try socket.set(.backlog, to: 2048)
        if let keys {
            // Without handover nobody takes over the routing id of a connection that stands.
            try socket.setCurveServer(keys.keys)
        } else {
            try socket.set(.routerHandover, to: 1)
        }
        let gate = try LearnerGate(socket, context: context, keys: keys, options: options, logger: logger)
        try socket.bind(endpoint)
        let bound = try socket.lastEndpoint
        return ZeroMQTransport(
            endpoint: bound,
            loop: try SocketLoop(
                socket: socket, side: .learner(gate), isEncrypted: keys != nil, options: options, logger: logger))
    }

    /// Connects to a learner in the background, again and again until it is there. Whether it answers is for the
    /// caller to find out, by a hello.
    package static func member(
        connect endpoint: String, identity: String, keys: MemberKeys? = nil, options: TransportOptions = .init(),
        logger: Logger
    ) throws -> ZeroMQTransport {
        try member(connect: [endpoint], identity: identity, keys: keys, options: options, logger: logger)
    }

    /// Connects to the first of the endpoints, and to the next, after the last the first again, while one does not
    /// answer.
    ///
    /// - Parameters:
    ///   - endpoints: at least one, of learners; without keys of relays too.
    ///   - relays: tried before them; with keys, those that hold the relay's key.
    ///   - identity: 1 ... 230 bytes; another live process with the same one takes this one's place. With keys it is
    ///     not used: the learner assigns one to each connection.
    ///   - keys: encrypts, and talks to the learner they name only; nil: plain text.
    ///   - context: libzmq's threads, which many transports may share; nil: it has its own.
    package static func member(
        connect endpoints: [String], relays: [String] = [], identity: String, keys: MemberKeys? = nil,
        options: TransportOptions = .init(), context: Context? = nil, logger: Logger
    ) throws -> ZeroMQTransport {
        let context = try context ?? Context(), endpoints = relays + endpoints
        var switches = 0
        func connected(_ index: Int) throws -> (Socket, MemberWatch) {
            let endpoint = endpoints[index]
            let socket = try makeSocket(context, .dealer, endpoint, options)
            let isRelay = index < relays.count
            if let keys {
                guard let server = isRelay ? keys.relay : keys.learner else {
                    preconditionFailure("a relay of a run with keys has one")
                }
                try socket.setCurveClient(keys.keys, server: server)
            } else {
                // What is still on its way to the connection before must not come over this one.
                try socket.setRoutingID(Array((switches == 0 ? identity : "\(identity)~\(switches)").utf8))
            }
            let watch = try MemberWatch(
                socket, endpoint: endpoint, isRelay: isRelay, keys: keys, logger: logger)
            try socket.connect(endpoint)
            return (socket, watch)
        }
        let (socket, watch) = try connected(0)
        let fallback = MemberFallback(choice: EndpointChoice(count: endpoints.count, silence: options.silence)) {
            index in
            switches += 1
            let before = endpoints[(index + endpoints.count - 1) % endpoints.count]
            logger.notice("\(before) does not answer: going on with \(endpoints[index])")
            return try connected(index)
        }
        return ZeroMQTransport(
            endpoint: endpoints[0],
            loop: try SocketLoop(
                socket: socket, side: .member(watch), fallback: endpoints.count > 1 ? fallback : nil,
                isEncrypted: keys != nil, options: options, logger: logger))
    }

    package func send(_ message: Message, to peer: PeerID) throws(WireError) {
        let frames = try Codec.encode(message, limits: loop.options.limits)
        loop.enqueue(OutgoingMessage(peer: peer, message: message, frames: frames))
    }

    /// Queues a message that came over another transport, with its frames as they are.
    package func pass(_ message: Message, _ frames: [Frame], to peer: PeerID = .learner) {
        loop.enqueue(OutgoingMessage(peer: peer, message: message, frames: frames))
    }

    package var events: TransportEvents { TransportEvents(channel: loop.channel) }

    package func close() async { await loop.close() }

    package var statistics: TransportStatistics { loop.statistics }

    private static func makeSocket(
        _ context: Context, _ type: SocketType, _ endpoint: String, _ options: TransportOptions
    ) throws(ZeroMQError) -> Socket {
        let socket = try Socket(context, type)
        try socket.set(.sendHighWaterMark, to: options.socketMessages)
        try socket.set(.receiveHighWaterMark, to: options.socketMessages)
        try socket.set(.maximumMessageBytes, to: max(options.limits.frameBytes, options.limits.headerBytes))
        // Not libzmq's heartbeats: a socket that is not read, because its consumer is slow, takes its peer for dead, and
        // libzmq to 4.3.5 aborts the process when a heartbeat falls due after such a peer was killed. The protocol
        // has heartbeats of its own; TCP finds dead connections.
        try socket.set(.tcpKeepalive, to: 1)
        try socket.set(.tcpKeepaliveIdle, to: 15)
        try socket.set(.tcpKeepaliveInterval, to: 5)
        try socket.set(.tcpKeepaliveCount, to: 3)
        // No probes are sent while bytes are under way: a member whose address has changed would repeat them for a
        // quarter of an hour. A peer that takes nothing for as long, because it was suspended, loses its connection too,
        // and what was on the way; it makes another when it goes on.
        try socket.set(.tcpUnacknowledgedLimit, to: 20_000)
        try socket.set(.reconnectInterval, to: 100)
        try socket.set(.reconnectIntervalMaximum, to: 2000)
        if endpoint.contains("[") { try socket.set(.ipv6, to: 1) }
        return socket
    }
}
