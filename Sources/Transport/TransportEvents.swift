import DequeModule
import Locking
import Wire

/// The events of a transport, for one consumer.
package struct TransportEvents: AsyncSequence, Sendable {
    package typealias Element = TransportEvent
    package typealias Failure = Never

    let channel: EventChannel

    package struct AsyncIterator: AsyncIteratorProtocol {
        let channel: EventChannel

        /// The next event; nil after the transport was closed, or when the task is cancelled.
        package mutating func next() async -> TransportEvent? { await channel.next(atMost: 1)?.first }

        package mutating func next(isolation actor: isolated (any Actor)?) async -> TransportEvent? {
            await channel.next(atMost: 1, isolation: actor)?.first
        }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: channel) }

    /// The same events, many that wait at once: what has to be done once after them need not be done after each.
    package var bursts: TransportBursts { TransportBursts(channel: channel) }
}

/// The events of a transport, for one consumer, in bursts of at least one.
package struct TransportBursts: AsyncSequence, Sendable {
    package typealias Element = [TransportEvent]
    package typealias Failure = Never

    let channel: EventChannel

    package struct AsyncIterator: AsyncIteratorProtocol {
        let channel: EventChannel

        /// The events that wait, at least one; nil after the transport was closed, or when the task is cancelled.
        package mutating func next() async -> [TransportEvent]? { await channel.next(atMost: channel.burstLimit) }

        package mutating func next(isolation actor: isolated (any Actor)?) async -> [TransportEvent]? {
            await channel.next(atMost: channel.burstLimit, isolation: actor)
        }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: channel) }
}

/// A bounded queue from a transport to its consumer.
///
/// The producer asks for `room` before it receives more, and is called back when there is some again, so that a slow
/// consumer is felt by the peers instead of by this process's memory.
final class EventChannel: Sendable {
    /// An event and the bytes of its message.
    struct Item: Sendable {
        var event: TransportEvent
        var bytes: Int
    }

    private struct State: Sendable {
        var queue: Deque<Item> = []
        var bytes = 0
        var waiter: Waiter?
        var finished = false
        var producerWaits = false
    }

    private struct Waiter: Sendable {
        var continuation: CheckedContinuation<[TransportEvent]?, Never>
        var limit: Int
    }

    private let state = Locked(State())
    private let maximumCount: Int
    private let maximumBytes: Int
    private let onRoom: @Sendable () -> Void

    init(maximumCount: Int, maximumBytes: Int, onRoom: @escaping @Sendable () -> Void) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
        self.onRoom = onRoom
    }

    /// Events that are taken at once. What was taken makes room before it is done with, so it is a part of what may wait,
    /// in bytes too.
    var burstLimit: Int { max(1, maximumCount / 4) }

    /// What there is room for, in events and in bytes; events may be pushed while both are above 0. When one is not,
    /// `onRoom` is called once the queue is half empty.
    func room() -> (count: Int, bytes: Int) {
        state.withLock { state in
            let room = (count: maximumCount - state.queue.count, bytes: maximumBytes - state.bytes)
            if room.count <= 0 || room.bytes <= 0 { state.producerWaits = true }
            return room
        }
    }

    func isFull() -> Bool {
        let room = room()
        return room.count <= 0 || room.bytes <= 0
    }

    /// Appends events, even when full: the producer decides what to stop. Dropped after `finish`.
    func push(_ items: [Item]) {
        let served = state.withLock { state -> (Waiter, Taken)? in
            guard !state.finished else { return nil }
            for item in items {
                state.queue.append(item)
                state.bytes += item.bytes
            }
            guard let waiter = state.waiter, let taken = dequeue(waiter.limit, from: &state) else { return nil }
            state.waiter = nil
            return (waiter, taken)
        }
        // Who waits has emptied the queue, so that no producer waits for room.
        guard let (waiter, taken) = served else { return }
        waiter.continuation.resume(returning: taken.events)
    }

    func push(_ event: TransportEvent, bytes: Int) { push([Item(event: event, bytes: bytes)]) }

    /// Ends the sequence after what is queued.
    func finish() {
        let waiter = state.withLock { state in
            state.finished = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.continuation.resume(returning: nil)
    }

    /// Waits for events, and takes as many of those that are there.
    func next(atMost limit: Int, isolation: isolated (any Actor)? = #isolation) async -> [TransportEvent]? {
        if let taken = state.withLock({ dequeue(limit, from: &$0) }) {
            if taken.roomAgain { onRoom() }
            return taken.events
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation(isolation: isolation) { continuation in
                enum Step { case wait, events(Taken), end }
                let step: Step = state.withLock { state in
                    precondition(state.waiter == nil, "the events of a transport have one consumer")
                    if let taken = dequeue(limit, from: &state) { return .events(taken) }
                    if state.finished || Task.isCancelled { return .end }
                    state.waiter = Waiter(continuation: continuation, limit: limit)
                    return .wait
                }
                switch step {
                case .wait: break
                case .end: continuation.resume(returning: nil)
                case .events(let taken):
                    if taken.roomAgain { onRoom() }
                    continuation.resume(returning: taken.events)
                }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.continuation.resume(returning: nil)
        }
    }

    private struct Taken: Sendable {
        var events: [TransportEvent]
        /// Whether the producer waits for the room that there is now.
        var roomAgain: Bool
    }

    private func dequeue(_ limit: Int, from state: inout State) -> Taken? {
        guard !state.queue.isEmpty else { return nil }
        var events: [TransportEvent] = []
        events.reserveCapacity(min(limit, state.queue.count))
        var bytes = 0
        while events.count < limit, bytes < maximumBytes / 4, let item = state.queue.popFirst() {
            bytes += item.bytes
            events.append(item.event)
        }
        state.bytes -= bytes
        let room = state.queue.count <= maximumCount / 2 && state.bytes <= maximumBytes / 2
        defer { if room { state.producerWaits = false } }
        return Taken(events: events, roomAgain: room && state.producerWaits)
    }
}
