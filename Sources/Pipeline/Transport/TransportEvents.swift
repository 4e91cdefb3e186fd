import DequeModule
import Locking

/// The events of a transport, for one consumer.
public struct TransportEvents: AsyncSequence, Sendable {
    public typealias Element = TransportEvent
    public typealias Failure = Never

    let channel: EventChannel

    public struct AsyncIterator: AsyncIteratorProtocol {
        let channel: EventChannel

        /// The next event; nil after the transport was closed, or when the task is cancelled.
        public mutating func next() async -> TransportEvent? { await channel.next() }

        public mutating func next(isolation actor: isolated (any Actor)?) async -> TransportEvent? {
            await channel.next(isolation: actor)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: channel) }
}

/// A bounded queue from a transport to its consumer.
///
/// The producer asks `isFull` before it receives more, and is called back when there is room again, so that a slow
/// consumer is felt by the peers instead of by this process's memory.
final class EventChannel: Sendable {
    private struct State: Sendable {
        var queue: Deque<(event: TransportEvent, bytes: Int)> = []
        var bytes = 0
        var waiter: CheckedContinuation<TransportEvent?, Never>?
        var finished = false
        var producerWaits = false
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

    /// Whether the producer should stop. After true, `onRoom` is called once the queue is half empty.
    func isFull() -> Bool {
        state.withLock { state in
            let full = state.queue.count >= maximumCount || state.bytes >= maximumBytes
            if full { state.producerWaits = true }
            return full
        }
    }

    /// Appends an event, even when full: the producer decides what to stop. Dropped after `finish`.
    func push(_ event: TransportEvent, bytes: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<TransportEvent?, Never>? in
            guard !state.finished else { return nil }
            if let waiter = state.waiter {
                state.waiter = nil
                return waiter
            }
            state.queue.append((event, bytes))
            state.bytes += bytes
            return nil
        }
        waiter?.resume(returning: event)
    }

    /// Ends the sequence after what is queued.
    func finish() {
        let waiter = state.withLock { state in
            state.finished = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }

    func next(isolation: isolated (any Actor)? = #isolation) async -> TransportEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation(isolation: isolation) { continuation in
                enum Step { case wait, event(TransportEvent, roomAgain: Bool), end }
                let step: Step = state.withLock { state in
                    precondition(state.waiter == nil, "the events of a transport have one consumer")
                    if let (event, bytes) = state.queue.popFirst() {
                        state.bytes -= bytes
                        let room = state.queue.count <= maximumCount / 2 && state.bytes <= maximumBytes / 2
                        let wake = room && state.producerWaits
                        if wake { state.producerWaits = false }
                        return .event(event, roomAgain: wake)
                    }
                    if state.finished || Task.isCancelled { return .end }
                    state.waiter = continuation
                    return .wait
                }
                switch step {
                case .wait: break
                case .end: continuation.resume(returning: nil)
                case .event(let event, let roomAgain):
                    if roomAgain { onRoom() }
                    continuation.resume(returning: event)
                }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: nil)
        }
    }
}
