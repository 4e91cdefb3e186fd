import Distillation
import Engines
import Exchange
import Foundation
import Logging
import Pipeline
import RunFiles
import Runs
import Synchronization
import Testing
import Transport
import Wire

/// What a run would write to its folder; survives the learner's death as files do.
final class MemoryRecorder: RunRecorder {
    struct Lines: Sendable {
        var metrics: [StepMetrics] = []
        var samples: [(step: UInt64, ScoredTrajectory)] = []
        var activities: [String] = []
        var suspects: [(step: UInt64, flaw: String, ScoredTrajectory)] = []
    }
    private let lines = Mutex(Lines())

    var all: Lines { lines.withLock { $0 } }
    func record(_ metrics: StepMetrics) { lines.withLock { $0.metrics.append(metrics) } }
    func record(samples: [ScoredTrajectory], step: UInt64) {
        lines.withLock { $0.samples += samples.map { (step, $0) } }
    }
    func record(suspects: [ScoredTrajectory], flaw: String, step: UInt64) {
        lines.withLock { $0.suspects += suspects.map { (step, flaw, $0) } }
    }
    func progress(_ progress: BatchProgress) {}
    func activity(_ text: String?) { lines.withLock { $0.activities.append(text ?? "") } }

    /// What Telemetry does to its files when a run resumes.
    func cut(for state: CheckpointState) {
        lines.withLock { lines in
            lines.metrics.removeAll { $0.step > state.lastRecordedStep }
            lines.samples.removeAll { $0.step > state.step }
            lines.suspects.removeAll { $0.step > state.step }
        }
    }

    /// A run that starts from the beginning.
    func clear() { lines.withLock { $0 = Lines() } }

    /// The lines without what differs between two runs of one seed.
    var timeless: [StepMetrics] {
        all.metrics.map { metrics in
            var metrics = metrics
            metrics.timing = TimingMetrics()
            return metrics
        }
    }
}

/// A run in this process: unigram models, the in-process transport, and checkpoints in a temporary folder.
final class TestRun: Sendable {
    let plan: RunPlan
    private let network: InProcessNetwork?
    /// Where a learner over sockets listens; a later one takes the same place.
    private let endpoint = Mutex("tcp://127.0.0.1:*")
    let folder: String
    let recorder = MemoryRecorder()
    let checkpointEvery: UInt64
    let stepGuard: StepGuard
    let objective: Objective
    let target: RunTarget
    /// How long every token of an evaluation in the learner's process takes.
    let evaluationPause: Duration
    let logger: Logger

    /// - Parameter sockets: whether messages go through ZeroMQ instead of memory.
    init(
        plan: RunPlan, checkpointEvery: UInt64 = 2, stepGuard: StepGuard = StepGuard(),
        objective: Objective = .policyGradient(PolicyGradient()), target: RunTarget = RunTarget(),
        sockets: Bool = false, evaluationPause: Duration = .zero, in path: String? = nil
    ) {
        self.plan = plan
        self.objective = objective
        self.target = target
        self.evaluationPause = evaluationPause
        self.stepGuard = stepGuard
        self.checkpointEvery = checkpointEvery
        var logger = Logger(label: "opd.test")
        logger.logLevel = ProcessInfo.processInfo.environment["OPD_TEST_LOG"] == nil ? .critical : .debug
        self.logger = logger
        network = sockets ? nil : InProcessNetwork(logger: logger)
        folder = path ?? FileManager.default.temporaryDirectory.appendingPathComponent("opd-run-\(UUID())").path
    }

    /// The same run with another guard; `other` must outlive it.
    convenience init(continuing other: TestRun, stepGuard: StepGuard) {
        self.init(plan: other.plan, checkpointEvery: other.checkpointEvery, stepGuard: stepGuard, in: other.folder)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func learnerTransport() throws -> any Transport {
        if let network { return network.learner() }
        let transport = try ZeroMQTransport.learner(bind: endpoint.withLock { $0 }, logger: logger)
        endpoint.withLock { $0 = transport.endpoint }
        return transport
    }

    private func memberTransport(_ identity: String) throws -> any Transport {
        if let network { return network.member(identity: identity) }
        return try ZeroMQTransport.member(connect: endpoint.withLock { $0 }, identity: identity, logger: logger)
    }

    var store: CheckpointStore { CheckpointStore(folder: "\(folder)/checkpoints") }

    /// - Parameter leastSilence: after how long a silent member is given up, who then is not told how the run ends: long,
    ///   because a busy machine can stop all of this for seconds, unless members are killed. Leases end sooner.
    func learner(
        trainer: UnigramTrainer, resume: Bool = false, longStep: Duration = .seconds(25),
        leastSilence: Duration = .seconds(60)
    ) throws -> Learner {
        var exchange = ExchangeOptions(
            runID: "test", lease: .seconds(2), heartbeat: .milliseconds(50), tokenizerFingerprint: "unigram")
        exchange.leastSilence = leastSilence
        var shared = RunOptions(plan: plan, learningRate: { _ in 1 })
        shared.checkpoints = CheckpointSchedule(every: checkpointEvery, keepLast: 2)
        shared.stepGuard = stepGuard
        shared.costModel = CostModel(
            student: { Double($0 + 10 * $1) },
            teachers: ["default": { Double($0 + 100 * $1) }, "other": { Double($0 + 1000 * $1) }])
        shared.target = target
        var options = LearnerOptions(run: shared, exchange: exchange, objective: objective)
        options.judge = ResponseJudge(logger: logger) { $0.map { "\($0)" }.joined() }
        if objective.imitates {
            options.evaluator = HeldoutEvaluator(
                sampler: UnigramSampler(pause: evaluationPause),
                judge: ResponseJudge(logger: logger) { $0.map { "\($0)" }.joined() })
        }
        options.patience = .milliseconds(200)
        options.longStep = longStep
        if !FileManager.default.fileExists(atPath: folder) || resume { try store.prepare() }
        var resuming: (checkpoint: Checkpoint, state: CheckpointState)?
        if resume, let checkpoint = store.latest() {
            let state = try CheckpointState.read(from: checkpoint.path)
            try state.check(continuedBy: plan, tokenizerFingerprint: "unigram")
            recorder.cut(for: state)
            resuming = (checkpoint, state)
        } else {
            recorder.clear()
        }
        let averages = Dictionary(
            uniqueKeysWithValues: plan.averages.map { label in
                (label, WeightPublisher(runID: "test-\(label)", directory: nil, logger: logger))
            })
        return Learner(
            options: options, transport: try learnerTransport(), backend: trainer,
            publisher: WeightPublisher(runID: "test", directory: nil, logger: logger), averages: averages,
            checkpoints: store, resuming: resuming, recorder: recorder, logger: logger)
    }

    /// Ends a learner that runs in `running` without a word and without a last checkpoint, as kill -9 does.
    func kill(
        _ learner: Learner, _ trainer: UnigramTrainer, _ running: Task<LearnerOutcome, any Error>
    ) async {
        await learner.cutOff()
        await trainer.kill()
        await learner.stop("killed")
        _ = await running.result
    }

    /// What the learner says of the run.
    func status(patience: Duration = .seconds(60)) async throws -> Status {
        try await StatusQuery.ask(through: memberTransport("status-\(UUID())"), "here", patience: patience)
    }

    struct Member: Sendable {
        let transport: any Transport
        let task: Task<MemberEnd, any Error>

        /// Gone without a word, as after kill -9.
        func kill() async {
            await transport.close()
            task.cancel()
        }
    }

    func worker(
        _ name: String = "rollout-0", teachers: [String] = [], backend: any RolloutBackend = UnigramSampler(),
        finishesSequences: Bool = false, patience: Duration = .seconds(60)
    ) throws -> Member {
        var options = MemberOptions(name: name, patience: patience)
        options.finishesSequences = finishesSequences
        let transport = try memberTransport(options.identity)
        let worker = RolloutWorker(
            options: options, teachers: teachers, transport: transport, backend: backend, logger: logger)
        return Member(transport: transport, task: Task { try await worker.run() })
    }

    func scorer(
        _ name: String = "scorer-0", teachers: [String]? = nil, backend: any ScoringBackend = UnigramTeacher(),
        isFollowing: Bool = false, patience: Duration = .seconds(60)
    ) throws -> Member {
        let options = MemberOptions(name: name, patience: patience)
        let transport = try memberTransport(options.identity)
        let scorer = TeacherScorer(
            options: options, teachers: teachers ?? plan.teachers.sorted(), transport: transport, backend: backend,
            following: isFollowing ? backend as? any WeightTaking : nil, logger: logger)
        return Member(transport: transport, task: Task { try await scorer.run() })
    }

    /// Runs to the end, in which so many workers and scorers take part and none fails.
    func complete(
        _ trainer: UnigramTrainer, workers: Int, scorers: Int
    ) async throws -> (metrics: [StepMetrics], model: UnigramModel) {
        let learner = try learner(trainer: trainer)
        var members = try (0..<workers).map { try worker("rollout-\($0)") }
        members += try (0..<scorers).map { try scorer("scorer-\($0)") }
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        return (recorder.timeless, await trainer.model)
    }
}

/// Waits for a condition that other tasks bring about; false after `timeout`.
func eventually(_ timeout: Duration = .seconds(120), _ condition: () async -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + timeout
    while ContinuousClock.now < deadline {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}
