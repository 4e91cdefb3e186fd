import Engines
import Exchange
import Logging
import Transport
import Wire

/// What every member has before it: its session with the learner, the tasks that wait and those under way, and how it
/// ends.
///
/// Rollout workers and scorers are actors around one, see ``DeskMember``.
struct MemberDesk<Work: LeasedWork>: Sendable {
    let transport: any Transport
    let logger: Logger
    private let origin = ContinuousClock.now
    private var session: MemberSession<Work>
    private(set) var end: MemberEnd?
    /// Why the member cannot go on.
    var failure: MemberError?
    /// Granted, not begun yet.
    var queue: [Work] = []
    /// Under way.
    var active: Set<WorkItem> = []
    /// Of those under way, the ones that nobody wants any more.
    var cancelled: Set<WorkItem> = []
    var rate = TokenRate()
    private var progressAt: Duration = .zero
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// - Parameter window: tasks to hold at once.
    init(
        _ options: MemberOptions, role: Role, backend: any MemberBackend, teachers: [String], window: Int,
        transport: any Transport, logger: Logger
    ) {
        self.transport = transport
        self.logger = logger
        let hello = Hello(
            role: role, name: options.name, arithmetic: backend.arithmetic,
            tokenizerFingerprint: backend.tokenizerFingerprint, teachers: teachers, processID: options.processID)
        session = MemberSession(hello: hello, window: window, patience: options.patience, now: .zero)
    }

    private var now: Duration { origin.duration(to: .now) }

    /// The work has moved: leases of what is under way may be renewed.
    mutating func progress() { progressAt = now }

    /// - Returns: what concerns weights; everything else is done.
    mutating func receive(_ message: Message) -> [MemberSession<Work>.Action] {
        perform(session.receive(message, now: now))
    }

    /// - Parameter version: of the weights in use, as heartbeats tell it.
    mutating func tick(state: String, version: UInt64) {
        let moving = active.isEmpty || now - progressAt < session.lease
        let status = MemberStatus(
            state: state, tokens: rate.total, tokensPerSecond: rate.perSecond(now: now), version: version)
        _ = perform(session.tick(now: now, status: status, renews: moving))
    }

    mutating func complete(_ outputs: [Work.Output]) { _ = perform(session.complete(outputs, now: now)) }

    /// Says goodbye: the learner issues what is held here again at once.
    mutating func leave(_ reason: String) { _ = perform(session.leave(reason: reason)) }

    mutating func stop(_ reason: String) {
        guard end == nil else { return }
        leave(reason)
        finish(.stopped(reason))
    }

    /// Resumed at the next change, whatever it is.
    mutating func wait(_ waiter: CheckedContinuation<Void, Never>) { waiters.append(waiter) }

    mutating func wake() {
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter.resume() }
    }

    private mutating func perform(_ actions: [MemberSession<Work>.Action]) -> [MemberSession<Work>.Action] {
        var left: [MemberSession<Work>.Action] = []
        for action in actions {
            switch action {
            case .send(let message):
                do {
                    try transport.send(message)
                } catch {
                    failure = MemberError("\(message.name) cannot be sent: \(error)")
                }
            case .start(let tasks): queue += tasks
            case .cancel(let items):
                queue.removeAll { items.contains($0.item) }
                cancelled.formUnion(items.intersection(active))
            case .say(let text): logger.notice("\(text)")
            case .end(let end): finish(end)
            case .weights, .forgetWeights: left.append(action)
            }
        }
        wake()
        return left
    }

    private mutating func finish(_ end: MemberEnd) {
        if self.end == nil { self.end = end }
        wake()
    }
}

/// An actor that works at a desk until the desk has an end.
protocol DeskMember: Actor {
    associatedtype Work: LeasedWork
    var desk: MemberDesk<Work> { get set }
    /// For heartbeats: what it does, and with which weights.
    var status: (state: String, version: UInt64) { get }
    /// Does what is on the desk until that has an end; throws what the engine throws.
    func work() async throws
    /// New weights are told of, or all are void.
    func followWeights(_ action: MemberSession<Work>.Action) async
    /// Ends what still sends, before the transport is closed.
    func closeDown() async
}

extension DeskMember {
    /// Works until the learner ends the run, refuses, or does not answer; throws what the engine throws.
    func serve() async throws -> MemberEnd {
        let pump = Task { await receiveAll() }
        let ticker = Task { await tickAll() }
        defer {
            pump.cancel()
            ticker.cancel()
        }
        do {
            try await work()
        } catch {
            desk.leave("\(error)")
            await closeDown()
            await desk.transport.close()
            throw error
        }
        await closeDown()
        await desk.transport.close()
        return desk.end ?? .stopped("")
    }

    private func receiveAll() async {
        for await burst in desk.transport.events.bursts {
            for case .message(let message, _) in burst {
                for action in desk.receive(message) { await followWeights(action) }
            }
            desk.wake()
        }
    }

    private func tickAll() async {
        while (try? await Task.sleep(for: .milliseconds(100))) != nil {
            let status = status
            desk.tick(state: status.state, version: status.version)
        }
    }
}
