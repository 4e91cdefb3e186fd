import Logging
import Transport
import Wire

/// Stands between a learner and members near it: passes everything on as it came, and weights once for all of them.
///
/// Every member has a connection of its own to the learner, so that the learner sees members and no relay. What is
/// remembered is chunks of weights, and who was told of which version.
package actor Relay {
    /// Members that a relay takes: each costs it a connection to the learner, a thread, and libzmq three of its 1023
    /// sockets.
    package static let maximumMembers = 256
    /// How long a member may be silent before its connection to the learner is given up; five of its heartbeats, if that
    /// is longer.
    private static let silence: Duration = .seconds(30)
    /// How long the learner, or the relay before, may leave everything unanswered: shorter than what members bear, so
    /// that those behind a relay stay with it while it goes on with another.
    private static let patience: Duration = .seconds(15)

    private struct Upstream {
        let transport: ZeroMQTransport
        /// Tells it from one before, of which something may still come.
        let serial: UInt64
        var heardAt: Duration
        var silence = Relay.silence
        /// What the member calls itself, as long as the learner has not welcomed it; then nil.
        var unanswered: String?
    }

    private let members: ZeroMQTransport
    private let connect: @Sendable (_ identity: String) throws -> ZeroMQTransport
    private let logger: Logger
    private let origin = ContinuousClock.now
    private var table: ChunkTable
    private var upstreams: [PeerID: Upstream] = [:]
    private var serial: UInt64 = 0
    /// When the learner said last that the run is over.
    private var overAt: Duration?
    private var isEnding = false

    /// - Parameters:
    ///   - members: where they connect, made by `ZeroMQTransport.learner` with `options`.
    ///   - byteLimit: the most bytes of weights to hold.
    ///   - connect: makes a connection to the learner, or to a relay before it, with `options`.
    package init(
        members: ZeroMQTransport, byteLimit: Int, logger: Logger,
        connect: @escaping @Sendable (_ identity: String) throws -> ZeroMQTransport
    ) {
        self.members = members
        self.connect = connect
        self.logger = logger
        table = ChunkTable(byteLimit: byteLimit)
    }

    /// Options of its transports.
    package static var options: TransportOptions {
        var options = TransportOptions()
        options.keepsFrames = true
        options.silence = patience
        // Twice what one request may ask for: a member that asks and does not read costs no more.
        options.outboundBytes = 512 << 20
        options.connections.connections = maximumMembers
        options.connections.advice = "a relay takes no more: start another one"
        return options
    }

    /// What it took and served, in one line.
    package var summary: String {
        let counters = table.counters
        return "weights: \(counters.taken) bytes came, \(counters.served) were served"
            + (counters.damaged > 0 ? "; \(counters.damaged) chunks came damaged" : "")
    }

    /// What it took and served.
    package var counters: ChunkTable.Counters { table.counters }

    /// Members that have a connection to the learner through it.
    package var memberCount: Int { upstreams.count }

    /// Serves until the run is over, or ``stop()``.
    package func run() async {
        let ticking = Task { [weak self] in
            while !Task.isCancelled {
                guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
                await self?.tick()
            }
        }
        for await event in members.events {
            switch event {
            case .framed(let message, let frames, let peer): fromMember(message, frames, peer)
            // It has gone, or takes nothing: it says hello again if it is there.
            case .undeliverable(_, let peer): drop(peer)
            case .message: break
            }
        }
        ticking.cancel()
        let open = upstreams.values.map(\.transport)
        upstreams = [:]
        await withTaskGroup { group in
            for transport in open { group.addTask { await transport.close() } }
        }
    }

    /// Ends it; what is queued is still sent for a moment.
    package func stop() async {
        isEnding = true
        await members.close()
    }

    private var now: Duration { origin.duration(to: .now) }

    // MARK: From members

    private func fromMember(_ message: Message, _ frames: [Frame], _ peer: PeerID) {
        if case .hello(let hello) = message { forgetFormer(of: peer, hello) }
        guard let upstream = upstream(of: peer) else { return }
        if case .hello(let hello) = message { upstreams[peer]?.unanswered = hello.name }
        if case .weightsRequest(let request) = message, let actions = table.requested(request, by: peer, now: now) {
            return perform(actions)
        }
        upstream.transport.pass(message, frames)
        if case .goodbye = message { drop(peer) }
    }

    /// Gives up what a member said hello through before it went to another endpoint and came back: a hello that still
    /// waits there would take the place of this one.
    ///
    /// With keys every connection has a name of the relay's own, and the key and what the member calls itself tell.
    private func forgetFormer(of peer: PeerID, _ hello: Hello) {
        let member = Self.member(peer)
        for (other, upstream) in upstreams where other != peer {
            let isFormer =
                peer.key == nil
                ? Self.member(other) == member : other.key == peer.key && upstream.unanswered == hello.name
            if isFormer { drop(other) }
        }
    }

    /// A member's routing id without the number of its endpoint.
    private static func member(_ peer: PeerID) -> ArraySlice<UInt8> { peer.bytes.prefix { $0 != UInt8(ascii: "~") } }

    /// The member's connection to the learner, which is made when it first says something.
    private func upstream(of peer: PeerID) -> Upstream? {
        if upstreams[peer] != nil {
            upstreams[peer]?.heardAt = now
            return upstreams[peer]
        }
        guard !isEnding else { return nil }
        // Those that have gone without a word are kept for a while.
        if upstreams.count >= Self.maximumMembers {
            let oldest = upstreams.min { $0.value.heardAt < $1.value.heardAt }
            if let oldest { drop(oldest.key) }
        }
        let transport: ZeroMQTransport
        do {
            // Not the member's own name: the learner may get to know it under that without this relay.
            transport = try connect("relay-\(String(UInt64.random(in: 1 ... .max), radix: 16))")
        } catch {
            logger.warning("\(peer): no connection to the learner can be made: \(error)")
            return nil
        }
        serial += 1
        let upstream = Upstream(transport: transport, serial: serial, heardAt: now)
        upstreams[peer] = upstream
        let serial = serial
        Task { [weak self] in
            for await event in transport.events {
                guard case .framed(let message, let frames, _) = event else { continue }
                await self?.fromLearner(message, frames, peer, serial)
            }
            await self?.ended(peer, serial)
        }
        return upstream
    }

    // MARK: From the learner

    private func fromLearner(_ message: Message, _ frames: [Frame], _ peer: PeerID, _ serial: UInt64) {
        guard upstreams[peer]?.serial == serial else { return }
        switch message {
        case .welcome(let welcome):
            upstreams[peer]?.unanswered = nil
            upstreams[peer]?.silence = max(Self.silence, .seconds(min(max(welcome.heartbeatSeconds, 0), 3600)) * 5)
            perform(table.welcomed(peer, epoch: welcome.epoch, now: now))
        case .weightsAnnounce(let announce): perform(table.announced(announce, to: peer, now: now))
        case .weightsChunk(let chunk):
            if let actions = table.arrived(chunk, for: peer) { return perform(actions) }
        case .shutdown: overAt = now
        default: break
        }
        members.pass(message, frames, to: peer)
    }

    private func perform(_ actions: [ChunkTable.Action]) {
        for action in actions {
            do throws(WireError) {
                switch action {
                case .ask(let request, let peer): try upstreams[peer]?.transport.send(.weightsRequest(request))
                case .serve(let chunk, let peer): try members.send(.weightsChunk(chunk), to: peer)
                }
            } catch {
                // What was received can be sent.
                logger.warning("weights are not passed on: \(error.reason)")
            }
        }
    }

    // MARK: Ends

    /// The run has ended: members were told.
    package var isOver: Bool { overAt != nil }

    /// A connection to the learner ends by itself where its socket fails; the member's next message makes another.
    private func ended(_ peer: PeerID, _ serial: UInt64) {
        if upstreams[peer]?.serial == serial { drop(peer) }
    }

    private func drop(_ peer: PeerID) {
        guard let upstream = upstreams.removeValue(forKey: peer) else { return }
        Task { await upstream.transport.close() }
        perform(table.left(peer, now: now))
    }

    private func tick() async {
        for (peer, upstream) in upstreams where now - upstream.heardAt > upstream.silence { drop(peer) }
        // Members end with the run, and so does what serves them.
        if let overAt, now - overAt > .seconds(3) { await stop() }
    }
}
