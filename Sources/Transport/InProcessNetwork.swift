import DequeModule
import Locking
import Logging
import Wire

/// A learner and its members within one process, for tests and single-process runs.
///
/// Every message passes through the codec, so that what works here works over a socket.
package final class InProcessNetwork: Sendable {
    private struct State: Sendable {
        var learner: InProcessTransport?
        var members: [PeerID: InProcessTransport] = [:]
    }

    private let state = Locked(State())
    private let options: TransportOptions
    private let logger: Logger

    package init(options: TransportOptions = .init(), logger: Logger = Logger(label: "opd.in-process")) {
        self.options = options
        self.logger = logger
    }

    /// The learner's end. What members sent before it existed is delivered now.
    package func learner() -> any Transport {
        let transport = InProcessTransport(name: .learner, network: self, options: options, logger: logger)
        let members = state.withLock { state in
            state.learner = transport
            return Array(state.members.values)
        }
        for member in members { member.flush() }
        return transport
    }

    /// A member's end. An older member with the same identity is cut off.
    package func member(identity: String) -> any Transport {
        let peer = PeerID(identity)
        let transport = InProcessTransport(name: peer, network: self, options: options, logger: logger)
        state.withLock { $0.members[peer] = transport }
        return transport
    }

    /// What `sender` reaches under the name `peer`; nil also for a sender that was replaced.
    fileprivate func target(of sender: InProcessTransport, _ peer: PeerID) -> InProcessTransport? {
        state.withLock { state in
            if sender.name == .learner { return state.learner === sender ? state.members[peer] : nil }
            return state.members[sender.name] === sender ? state.learner : nil
        }
    }

    fileprivate func everyone() -> [InProcessTransport] {
        state.withLock { Array($0.members.values) + ($0.learner.map { [$0] } ?? []) }
    }

    fileprivate func remove(_ transport: InProcessTransport) {
        state.withLock { state in
            if state.learner === transport { state.learner = nil }
            if state.members[transport.name] === transport { state.members[transport.name] = nil }
        }
    }
}

/// One end of an `InProcessNetwork`.
final class InProcessTransport: Transport {
    private struct Outgoing: Sendable {
        var waiting: [PeerID: Deque<OutgoingMessage>] = [:]
        var closed = false
        var messages: UInt64 = 0
        var bytes: UInt64 = 0
        var undeliverable: UInt64 = 0
    }

    private struct Incoming: Sendable {
        var messages: UInt64 = 0
        var bytes: UInt64 = 0
        var malformed: UInt64 = 0
        var log: MalformedLog
    }

    let name: PeerID
    private let network: InProcessNetwork
    private let options: TransportOptions
    private let channel: EventChannel
    private let outgoing = Locked(Outgoing())
    private let incoming: Locked<Incoming>

    init(name: PeerID, network: InProcessNetwork, options: TransportOptions, logger: Logger) {
        self.name = name
        self.network = network
        self.options = options
        incoming = Locked(Incoming(log: MalformedLog(logger: logger)))
        channel = EventChannel(maximumCount: options.inboundMessages, maximumBytes: options.inboundBytes) {
            for transport in network.everyone() { transport.flush() }
        }
    }

    func send(_ message: Message, to peer: PeerID) throws(WireError) {
        send(message, frames: try Codec.encode(message, limits: options.limits), to: peer)
    }

    /// Sends frames that need not be a valid message, for tests.
    func send(_ message: Message, frames: [Frame], to peer: PeerID) {
        let item = OutgoingMessage(peer: peer, message: message, frames: frames)
        let accepted = outgoing.withLock { state in
            guard !state.closed else { return true }
            guard state.waiting[peer, default: []].count < options.outboundMessages else { return false }
            state.waiting[peer, default: []].append(item)
            return true
        }
        if accepted { flush() } else { report(item) }
    }

    var events: TransportEvents { TransportEvents(channel: channel) }

    var statistics: TransportStatistics {
        var statistics = TransportStatistics()
        (statistics.messagesOut, statistics.bytesOut, statistics.undeliverable) = outgoing.withLock {
            ($0.messages, $0.bytes, $0.undeliverable)
        }
        (statistics.messagesIn, statistics.bytesIn, statistics.malformed) = incoming.withLock {
            ($0.messages, $0.bytes, $0.malformed)
        }
        return statistics
    }

    func close() async {
        flush()
        outgoing.withLock { state in
            state.closed = true
            state.waiting = [:]
        }
        network.remove(self)
        channel.finish()
    }

    /// Delivers what the receivers have room for.
    ///
    /// The lock is held from taking a message to handing it over, so that concurrent callers keep the order. Locks
    /// are taken in one order: a sender's outgoing, the network's, a receiver's incoming, its channel's.
    func flush() {
        let undeliverable = outgoing.withLock { state in
            var lost: [OutgoingMessage] = []
            for peer in Array(state.waiting.keys) {
                let target = network.target(of: self, peer)
                // As over TCP, a member's messages wait for a learner that is not there yet.
                if target == nil, peer == .learner { continue }
                while let next = state.waiting[peer]?.first {
                    guard let target else {
                        lost.append(next)
                        state.waiting[peer]?.removeFirst()
                        continue
                    }
                    guard !target.channel.isFull() else { break }
                    state.waiting[peer]?.removeFirst()
                    state.messages += 1
                    state.bytes += UInt64(next.byteCount)
                    target.accept(next, from: name)
                }
                if state.waiting[peer]?.isEmpty ?? false { state.waiting[peer] = nil }
            }
            return lost
        }
        for message in undeliverable { report(message) }
    }

    private func accept(_ item: OutgoingMessage, from peer: PeerID) {
        incoming.withLock { incoming in
            do throws(WireError) {
                let message = try Codec.decode(item.frames, limits: options.limits)
                incoming.messages += 1
                incoming.bytes += UInt64(item.byteCount)
                channel.push(.message(message, from: peer), bytes: item.byteCount)
            } catch {
                incoming.malformed += 1
                incoming.log.record(error, from: peer)
            }
        }
    }

    private func report(_ message: OutgoingMessage) {
        outgoing.withLock { $0.undeliverable += 1 }
        channel.push(.undeliverable(message.message, to: message.peer), bytes: message.byteCount)
    }
}
