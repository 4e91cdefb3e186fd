import DequeModule
import Foundation
import Locking
import Logging
import Wire
import Wording
import ZeroMQ

extension SocketFrame: ByteStorage {}

/// The thread that owns a transport's socket.
///
/// `@unchecked Sendable`: `socket`, `side` and the properties under "the thread's own" are touched by nothing but the thread
/// once `start` was called; the rest is locked or immutable.
final class SocketLoop: @unchecked Sendable {
    /// Which end of the connection it is.
    enum Side {
        case learner(LearnerGate)
        case member(MemberWatch)

        var isLearner: Bool { if case .learner = self { true } else { false } }

        var pollItems: [PollItem] {
            switch self {
            case .learner(let gate): gate.pollItems
            case .member(let watch): watch.pollItems
            }
        }
    }

    private struct Shared: Sendable {
        var outbox: Deque<OutgoingMessage> = []
        var closing = false
        var finished = false
        var closeWaiters: [CheckedContinuation<Void, Never>] = []
        var statistics = TransportStatistics()
    }

    let options: TransportOptions
    let channel: EventChannel
    private let shared = Locked(Shared())
    private let wake: WakeSignal
    private let isEncrypted: Bool

    // The thread's own.
    private var socket: Socket?
    private var side: Side
    private var fallback: MemberFallback?
    private var waiting: [PeerID: OutgoingQueue] = [:]
    private var malformed: MalformedLog
    private let origin = ContinuousClock.now

    /// - Parameter fallback: where a member goes when its endpoint does not answer; nil: nowhere.
    init(
        socket: Socket, side: Side, fallback: MemberFallback? = nil, isEncrypted: Bool, options: TransportOptions,
        logger: Logger
    ) throws {
        let wake = try WakeSignal()
        self.socket = socket
        self.side = side
        self.fallback = fallback
        self.isEncrypted = isEncrypted
        self.options = options
        self.wake = wake
        malformed = MalformedLog(logger: logger)
        channel = EventChannel(maximumCount: options.inboundMessages, maximumBytes: options.inboundBytes) {
            wake.signal()
        }
    }

    func start() {
        let thread = Thread { self.run() }
        thread.name = "opd-socket"
        thread.start()
    }

    // MARK: callable from any thread

    func enqueue(_ message: OutgoingMessage) {
        let first = shared.withLock { shared in
            guard !shared.closing else { return false }
            shared.outbox.append(message)
            return shared.outbox.count == 1
        }
        if first { wake.signal() }
    }

    var statistics: TransportStatistics { shared.withLock { $0.statistics } }

    func requestClose() {
        shared.withLock { $0.closing = true }
        wake.signal()
    }

    func close() async {
        await withCheckedContinuation { continuation in
            let finished = shared.withLock { shared in
                if !shared.finished { shared.closeWaiters.append(continuation) }
                shared.closing = true
                return shared.finished
            }
            if finished { continuation.resume() } else { wake.signal() }
        }
    }

    // MARK: the thread

    private func run() {
        do {
            while !shared.withLock({ $0.closing }) {
                try wait()
                try serveConnections()
                try receive()
                try sendQueued()
                fallBack()
            }
            try flush()
        } catch {
            // Only a closed context or a broken library gets here: the consumer sees the events end.
            malformed.fatal(error)
        }
        if case .learner(let gate) = side { gate.closeMonitor() }
        if case .member(let watch) = side { watch.close() }
        // Dropping the last reference to the context waits for the socket's linger.
        socket?.close()
        socket = nil
        if case .learner(let gate) = side { gate.close() }
        channel.finish()
        let waiters = shared.withLock { shared in
            shared.closing = true
            shared.finished = true
            defer { shared.closeWaiters = [] }
            return shared.closeWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits for something to do.
    private func wait() throws {
        guard let socket else { return }
        var events: PollEvents = channel.isFull() ? [] : .readable
        // A ROUTER cannot say which peer takes messages again, so its waiting messages are tried every 2 ms.
        if !side.isLearner, !waiting.isEmpty { events.insert(.writable) }
        let milliseconds = !side.isLearner ? 1000 : (waiting.isEmpty ? 200 : 2)
        let ready = try poll(
            [.socket(socket, events), .descriptor(wake.descriptor, .readable)] + side.pollItems,
            milliseconds: milliseconds)
        if ready[1].contains(.readable) { wake.clear() }
    }

    /// Sees to the connections, also while messages are not read.
    private func serveConnections() throws {
        switch side {
        case .member(let watch): try watch.logFailures { fallback?.choice.saw($0, now: now) }
        case .learner(let gate):
            try gate.serveConnections()
            shared.withLock {
                $0.statistics.refused = gate.refused
                $0.statistics.throttled = gate.throttled
            }
        }
    }

    private var now: Duration { origin.duration(to: .now) }

    /// Goes on with the next endpoint where the present one does not answer. What was on its way is lost, as with any
    /// connection that breaks.
    private func fallBack() {
        guard let next = fallback?.choice.next(now: now), let connect = fallback?.connect else { return }
        // Where that cannot be done now, as for want of descriptors, the one after it is tried in a while.
        guard let (replacement, watch) = try? connect(next) else { return }
        if case .member(let before) = side { before.close() }
        socket?.close()
        socket = replacement
        side = .member(watch)
    }

    /// Takes in what has arrived: a bounded number of messages, so that sending gets its turn.
    private func receive() throws {
        guard let socket else { return }
        var room = channel.room()
        var burst: [EventChannel.Item] = []
        // The consumer is woken once, for all of them.
        defer { if !burst.isEmpty { deliver(burst) } }
        for _ in 0..<64 {
            var wireBytes = 0
            guard room.count > 0, room.bytes > 0,
                let frames = try socket.tryReceive(
                    keeping: options.limits.frames + 2, each: { wireBytes += wireSize($0) })
            else { return }
            guard let item = try accept(frames, wireBytes: wireBytes) else { continue }
            burst.append(item)
            room.count -= 1
            room.bytes -= item.bytes
        }
    }

    private func deliver(_ burst: [EventChannel.Item]) {
        let bytes = burst.reduce(0) { $0 + $1.bytes }
        shared.withLock {
            $0.statistics.messagesIn += UInt64(burst.count)
            $0.statistics.bytesIn += UInt64(bytes)
        }
        channel.push(burst)
        fallback?.choice.heard()
    }

    /// Bytes of a frame's content with ZMTP's own around it.
    private func wireSize(_ count: Int) -> Int {
        let body = isEncrypted ? count + 33 : count
        return body + (body > 255 ? 9 : 2)
    }

    /// The message as an event; nil when it is not to be looked at.
    private func accept(_ received: [SocketFrame], wireBytes: Int) throws -> EventChannel.Item? {
        var peer = PeerID.learner
        if case .learner(let gate) = side {
            // The routing id is none of the sender's bytes.
            let wireBytes = wireBytes - wireSize(received[0].count)
            guard let sender = try gate.sender(of: received, wireBytes: wireBytes) else { return nil }
            peer = sender
        }
        let frames = received.dropFirst(side.isLearner ? 1 : 0).map { Frame(storage: $0) }
        let bytes = frames.reduce(0) { $0 + $1.count }
        let message: Message
        do throws(WireError) {
            message = try Codec.decode(frames, limits: options.limits)
        } catch {
            shared.withLock { $0.statistics.malformed += 1 }
            malformed.record(error, from: peer)
            return nil
        }
        if case .learner(let gate) = side, let reason = gate.refusal(of: message, from: peer, received: received) {
            if case .hello(let hello) = message { try answer(hello, reason, peer) }
            return nil
        }
        let event =
            options.keepsFrames ? TransportEvent.framed(message, frames, from: peer) : .message(message, from: peer)
        return EventChannel.Item(event: event, bytes: bytes)
    }

    /// Tells a process that its hello was refused, in the version that it speaks, so that it ends with the reason.
    private func answer(_ hello: Hello, _ reason: String, _ peer: PeerID) throws {
        let reject = Message.reject(
            Reject(code: .notAllowed, message: reason, protocolVersion: hello.protocolVersion))
        let frames = try Codec.encode(reject, limits: options.limits)
        // One that takes no answer gets none.
        _ = try send(OutgoingMessage(peer: peer, message: reject, frames: frames), reporting: false)
    }

    private func sendQueued() throws {
        for peer in waiting.keys {
            while let next = waiting[peer]?.first {
                guard try send(next) else { break }
                waiting[peer]?.removeFirst()
            }
            if waiting[peer]?.isEmpty ?? false { waiting[peer] = nil }
        }
        let outbox = shared.withLock { shared in
            defer { shared.outbox = [] }
            return shared.outbox
        }
        for message in outbox {
            if waiting[message.peer] == nil, try send(message) { continue }
            var queue = waiting.removeValue(forKey: message.peer) ?? OutgoingQueue()
            if queue.count < options.outboundMessages, queue.byteCount < options.outboundBytes {
                queue.append(message)
            } else {
                report(message)
            }
            waiting[message.peer] = queue
        }
    }

    /// False when the peer takes nothing now; true when the message is sent, or reported as undeliverable.
    private func send(_ message: OutgoingMessage, reporting: Bool = true) throws -> Bool {
        guard let socket else { return true }
        do throws(ZeroMQError) {
            if side.isLearner {
                guard try socket.trySend(SocketFrame(message.peer.bytes), more: true) else { return false }
            }
            for (index, frame) in message.frames.enumerated() {
                let sent = try socket.trySend(frame.socketFrame(), more: index + 1 < message.frames.count)
                guard sent else { return false }
            }
        } catch {
            guard error.isUnreachable else { throw error }
            if reporting { report(message) }
            return true
        }
        shared.withLock {
            $0.statistics.messagesOut += 1
            $0.statistics.bytesOut += UInt64(message.byteCount)
            if case .weightsChunk(let chunk) = message.message {
                $0.statistics.weightBytesOut += UInt64(chunk.payload.count)
            }
        }
        fallback?.choice.sent(now: now)
        return true
    }

    private func report(_ message: OutgoingMessage) {
        shared.withLock { $0.statistics.undeliverable += 1 }
        channel.push(.undeliverable(message.message, to: message.peer), bytes: message.byteCount)
    }

    /// Sends what is queued, for at most the linger, the rest of which is left to libzmq.
    private func flush() throws {
        let clock = ContinuousClock()
        let deadline = clock.now + options.linger
        try sendQueued()
        while !waiting.isEmpty, clock.now < deadline {
            Thread.sleep(forTimeInterval: 0.002)
            try sendQueued()
        }
        let rest = waiting.isEmpty ? max(.zero, deadline - clock.now) : .zero
        try socket?.set(.linger, to: rest.milliseconds)
    }
}

extension ZeroMQError {
    fileprivate var isUnreachable: Bool { code == EHOSTUNREACH }
}
