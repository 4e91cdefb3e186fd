import Distillation
import Engines
import Exchange
import Logging
import Transport
import Wire

/// What every member has before it: its session with the learner, the tasks that wait and those under way, and how it
/// ends.
///
/// Rollout workers and scorers are actors around one, see ``WorkingMember``.
struct MemberWork<Work: LeasedWork>: Sendable {
    let transport: any Transport
    let logger: Logger
    private let origin = ContinuousClock.now
    private var session: MemberSession<Work>
    private(set) var end: MemberEnd?
    /// Why the member cannot go on.
    var failure: (any Error)?
    /// Work that was granted and is not begun yet.
    var queue: [Work] = []
    /// The items under way.
    var active: Set<WorkItem> = []
    /// The items under way that nobody wants any more.
    var cancelled: Set<WorkItem> = []
    var rate = TokenRate()
    private var progressAt: Duration = .zero
    private var waiters = Waiters()
    private var meters: MemberMeters

    /// - Parameters:
    ///   - window: tasks to hold at once.
    ///   - mostTopTokens, head, followsWeights: of a scorer.
    init(
        _ options: MemberOptions, role: Role, backend: any Backend, teachers: [String], window: Int,
        mostTopTokens: Int = 0, head: SharedHead? = nil, followsWeights: Bool = false, transport: any Transport,
        logger: Logger
    ) {
        self.transport = transport
        self.logger = logger
        meters = MemberMeters(options.metrics)
        var teacher = options.teacher.map(TeacherDescription.init)
        if let head {
            teacher = teacher ?? TeacherDescription()
            teacher?.hiddenSize = head.hiddenSize
            teacher?.headFingerprint = head.fingerprint
        }
        var hello = Hello(
            role: role, name: options.name, arithmetic: backend.arithmetic,
            tokenizerFingerprint: backend.tokenizerFingerprint, teachers: teachers, processID: options.processID,
            teacher: teacher, isReproducible: backend.isReproducible,
            samplingRevision: role == .rollout ? SamplingSettings.newestRevision : 0,
            addedTokens: options.teacher?.addedTokenTexts ?? [], mostTopTokens: UInt32(clamping: mostTopTokens),
            weightRevision: role == .rollout && teachers.isEmpty && options.takesDifferences
                ? WeightsAnnounce.newestRevision : 0)
        hello.followsWeights = followsWeights
        if role == .rollout { hello.environment = options.environment }
        session = MemberSession(hello: hello, window: window, patience: options.patience, now: .zero)
    }

    private var now: Duration { origin.duration(to: .now) }

    /// The work has moved: leases of what is under way may be renewed.
    mutating func progress() { progressAt = now }

    /// The member is in this stage from now on.
    mutating func enter(_ stage: Stage) {
        let now = now
        session.enter(stage, now: now)
        meters.enter(stage, now: now)
    }

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
        meters.tell(status, tasks: queue.count + active.count, now: now)
    }

    mutating func complete(_ outputs: [Work.Output]) { _ = perform(session.complete(outputs, now: now)) }

    /// Says goodbye: the learner issues what is held here again at once.
    mutating func leave(_ reason: String) { _ = perform(session.leave(reason: reason)) }

    mutating func stop(_ reason: String) {
        guard end == nil else { return }
        leave(reason)
        finish(.stopped(reason))
    }

    /// What the member does, with what keeps its engine from working.
    func described(_ state: String, _ backend: any Backend) -> String {
        backend.trouble.map { String("\(state); \($0)".prefix(Self.longestState)) } ?? state
    }

    /// Characters, each of a few bytes at most, that a heartbeat has room for.
    private static var longestState: Int { 240 }

    /// Resumed at the next change, whatever it is.
    mutating func wait(_ waiter: CheckedContinuation<Void, Never>) { waiters.add(waiter) }

    mutating func wake() { waiters.wake() }

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
