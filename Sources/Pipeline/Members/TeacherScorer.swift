import Distillation
import Logging
import Wire

/// Grades trajectories with one teacher under lease. It has no state: kill it at will.
public actor TeacherScorer {
    private let transport: any Transport
    private let backend: any ScoringBackend
    private let logger: Logger
    private let origin: ContinuousClock.Instant
    private let batchTokens: Int
    private let teacher: String
    private var session: MemberSession<ScoreTask>
    private var end: MemberEnd?
    private var failure: MemberError?
    private var queue: [ScoreTask] = []
    /// Being graded.
    private var active: Set<WorkItem> = []
    /// Of those being graded, the ones that nobody wants any more.
    private var cancelled: Set<WorkItem> = []
    private var progressAt: Duration = .zero
    private var rate = TokenRate()
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// - Parameters:
    ///   - teachers: names under which prompts ask for this teacher.
    ///   - batchTokens: tokens of the sequences that are graded at once; a longer one is graded alone.
    ///   - window: sequences to hold at once.
    public init(
        options: MemberOptions, teachers: [String], transport: any Transport, backend: any ScoringBackend,
        batchTokens: Int = 4096, window: Int = 64, logger: Logger
    ) {
        self.transport = transport
        self.backend = backend
        self.logger = logger
        self.batchTokens = batchTokens
        teacher = teachers.joined(separator: ", ")
        origin = .now
        let hello = Hello(
            role: .scorer, name: options.name, incarnation: options.incarnation, hostID: HostID.current(),
            modelFingerprint: "", tokenizerFingerprint: backend.tokenizerFingerprint, slots: window,
            teachers: teachers, processID: options.processID)
        session = MemberSession(hello: hello, window: window, patience: options.patience, now: .zero)
    }

    /// Works until the learner ends the run, refuses, or does not answer; throws what the engine throws.
    public func run() async throws -> MemberEnd {
        let pump = Task { await receiveAll() }
        let ticker = Task { await tickAll() }
        defer {
            pump.cancel()
            ticker.cancel()
        }
        do {
            try await work()
        } catch {
            perform(session.leave(reason: "\(error)"))
            await transport.close()
            throw error
        }
        await transport.close()
        return end ?? .stopped("")
    }

    /// Leaves the run: the learner issues what is held here again at once.
    public func stop(_ reason: String) {
        guard end == nil else { return }
        perform(session.leave(reason: reason))
        finish(.stopped(reason))
    }

    private func work() async throws {
        while end == nil {
            if let failure { throw failure }
            guard !queue.isEmpty else {
                await withCheckedContinuation { waiters.append($0) }
                continue
            }
            let batch = takeBatch()
            active = Set(batch.map(\.item))
            cancelled = []
            progressAt = now
            let grades = try await backend.score(batch)
            progressAt = now
            active = []
            try check(grades, batch)
            let scores = zip(batch, grades).filter { !cancelled.contains($0.0.item) }
                .map { Score(id: $0.0.id, kind: $0.0.kind, logprobs: $0.1) }
            rate.add(scores.reduce(0) { $0 + $1.logprobs.count })
            perform(session.complete(scores, now: now))
        }
    }

    /// The first tasks in order of their ids, so that the samples of a prompt are neighbours.
    private func takeBatch() -> [ScoreTask] {
        queue.sort { $0.item < $1.item }
        var tokens = 0
        var count = 0
        for task in queue {
            tokens += task.ids.count
            if count > 0, tokens > batchTokens { break }
            count += 1
        }
        defer { queue.removeFirst(count) }
        return Array(queue.prefix(count))
    }

    private func check(_ grades: [[Float]], _ batch: [ScoreTask]) throws {
        for (task, logprobs) in zip(batch, grades) {
            // What becomes of the step is for the learner to decide, as configured.
            let count = task.ids.count - task.promptCount
            if logprobs.count != count {
                let what = "\(logprobs.count) log-probabilities for the \(count) tokens of rollout \(task.id)"
                logger.warning("teacher '\(teacher)' gave \(what); check the model's files")
            } else if !logprobs.areFinite {
                let what = "a log-probability that is not finite for rollout \(task.id)"
                logger.warning("teacher '\(teacher)' gave \(what); check the model's files, or try dtype: f32")
            }
        }
        guard grades.count == batch.count else { throw MemberError("teacher '\(teacher)' graded too few sequences") }
    }

    private func receiveAll() async {
        for await burst in transport.events.bursts {
            for case .message(let message, _) in burst { perform(session.receive(message, now: now)) }
        }
    }

    private func tickAll() async {
        while (try? await Task.sleep(for: .milliseconds(100))) != nil {
            let moving = active.isEmpty || now - progressAt < session.lease
            let state = active.isEmpty ? "waiting for work" : "grading \(active.count)"
            let status = Heartbeat(
                state: state, tokens: rate.total, tokensPerSecond: rate.perSecond(now: now), epoch: 0)
            perform(session.tick(now: now, status: status, renews: moving))
        }
    }

    private func perform(_ actions: [MemberSession<ScoreTask>.Action]) {
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
            case .forgetWeights, .weights: break
            }
        }
        changed()
    }

    private func finish(_ end: MemberEnd) {
        if self.end == nil { self.end = end }
        changed()
    }

    private func changed() {
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter.resume() }
    }

    private var now: Duration { origin.duration(to: .now) }
}
