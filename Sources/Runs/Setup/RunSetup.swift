import CheckpointCopies
import Configuration
import CoreMetrics
import Distillation
import Engines
import Exchange
import Locking
import Logging
import Pipeline
import RunFiles
import Supervision
import Telemetry
import Wording

/// What every run is set up with, whoever makes its batches: built once, from a configuration and a run folder.
struct RunSetup {
    private(set) var configuration: RunConfiguration
    let folder: RunFolder
    let engines: EngineChoice
    let models: DescribedModels
    let data: PreparedData
    let plan: RunPlan
    let store: CheckpointStore
    /// The checkpoint to go on from, with its state; nil begins the run.
    let resuming: (checkpoint: Checkpoint, state: CheckpointState)?
    let trainer: any TrainingBackend & SupervisedBackend
    let recorder: FolderRecorder
    let options: RunOptions
    let progress: RunProgress
    let logger: Logger
    private let resumeCommand: String
    private let copier: CheckpointCopier?
    private let keeper: TermKeeper?

    /// Loads the student and everything that is asked about it, and finds or copies the checkpoint to go on from.
    /// - Parameters:
    ///   - given: the configuration as the user gave it, which goes into the checkpoints.
    ///   - studentPath: where the student is, when it is not where `given` says.
    ///   - start: with nothing that is still to be fetched.
    ///   - copies: where the checkpoints are copied to; nil: nowhere.
    ///   - keeper: keeps the term in which this process owns the folder; nil: it has none.
    ///   - resumeCommand: what a person types to go on.
    ///   - timeLimit: for this process, counted from `startedAt`.
    ///   - metrics: where the run's numbers are told beside its folder; nil: nowhere.
    /// - Throws: `UsageError`, `ConfigurationError` for what the user must mend; anything else is a failure.
    init(
        _ given: RunConfiguration, studentPath: String? = nil, engines: EngineChoice = .standard, folder: RunFolder,
        start: LearnerProcess.Start, copies: RunCopies? = nil, keeper: TermKeeper? = nil, resumeCommand: String,
        timeLimit: TimeLimit?, startedAt: ContinuousClock.Instant, progress: RunProgress,
        metrics: (any MetricsFactory)? = nil, logger: Logger
    ) async throws {
        try TrackerProcess.check(given.telemetry)
        progress.activity("loading the student")
        var configuration = given
        if let studentPath { configuration.student.model = studentPath }
        models = try await DescribedModels(configuration, engines: engines, logger: logger)
        data = try PreparedData(configuration, models)
        let listed = configuration.objective.listedTokens, tokens = models.student.vocabularySize
        guard listed < tokens else {
            throw UsageError(
                "objective.top_k: \(listed) tokens are the whole vocabulary of \(tokens) and leave nothing beside them; "
                    + "give fewer")
        }
        for finding in data.templates.findings { logger.log(level: finding.level, "\(finding.text)") }
        for note in data.notes { logger.notice("\(note)") }
        var plan = try Self.plan(configuration, data)
        try Self.checkTeachers(configuration, plan)
        if configuration.objective.crossEntropyCoefficient > 0, plan.prompts.allSatisfy({ $0.givenIDs == nil }) {
            throw UsageError(
                "objective.cross_entropy_coefficient: no prompt of this run has a response to imitate; give prompts a "
                    + "'response', or leave it out")
        }
        if configuration.objective.sharesHeads { try Self.checkHeads(configuration, models) }
        store = CheckpointStore(folder: folder.checkpoints, term: keeper?.term)
        try store.prepare()
        let continuation = RunContinuation(
            configuration: given, folder: folder, store: store, plan: plan,
            tokenizerFingerprint: data.tokenizer.fingerprint, staging: keeper?.term.folder, logger: logger)
        if case .from(let path) = start {
            progress.activity("copying the checkpoint")
            try await continuation.adopt(path)
        }
        if start == .fresh {
            resuming = nil
        } else {
            progress.activity("checking the checkpoints")
            resuming = try await continuation.restorePoint()
        }
        if let resuming { progress.resume(after: resuming.checkpoint.step) }
        progress.activity("loading the student")
        let student = configuration.trainerReference(log: folder.log("torch"))
        trainer = try await namingKeys {
            try await engines.factory(for: student).trainer(student, configuration.trainerOptions)
        }
        plan.heads = trainer.teacherHeads
        try Self.checkHeadSizes(plan.heads, configuration)
        self.plan = plan
        if !trainer.isReproducible {
            logger.notice(
                "the engine that trains does not promise the same bits twice: another run of this seed will differ")
        }
        let tokenizer = data.tokenizer
        recorder = try FolderRecorder(
            folder: folder, resuming: resuming?.state, progress: progress, plan: plan,
            decode: { tokenizer.decode($0) }, pieces: { tokenizer.pieces($0) },
            configuration: configuration, metrics: metrics, staging: keeper?.term.folder, logger: logger)
        let schedule = configuration.training.learningRateSchedule
        var options = RunOptions(plan: plan, learningRate: { schedule.rate(step: Int($0)) })
        options.stepGuard = configuration.training.stepGuard
        options.costModel = models.costModel
        options.target = configuration.evaluation.target
        options.checkpoints = configuration.checkpoint.schedule
        options.configurationText = given.yaml()
        options.timeLimit = timeLimit
        if copies != nil {
            options.timeLimit?.leave(forCopy: .seconds(RunCopies.wait(configuration, isFinished: false)))
        }
        options.startedAt = startedAt
        options.handsOver = keeper != nil && given.pipeline.standbyAfterSeconds > 0
        if let keeper { options.confirm = { await keeper.confirm() } }
        copier = copies?.copier(configuration, of: folder, logger: logger)
        options.copies = copier
        self.options = options
        self.keeper = keeper
        self.configuration = configuration
        self.engines = engines
        self.folder = folder
        self.resumeCommand = resumeCommand
        self.progress = progress
        self.logger = logger
    }

    /// The same, with other processes beside the learner.
    /// - Parameters:
    ///   - processes: workers, and scorers of each teacher.
    ///   - threads: of each of them.
    func with(processes: Int, threads: Int) -> RunSetup {
        var setup = self
        setup.configuration.pipeline.workers = processes
        setup.configuration.pipeline.scorers = processes
        setup.configuration.pipeline.threads = threads
        return setup
    }

    /// The learner turns members away that hold a teacher without prompts.
    private static func checkTeachers(_ configuration: RunConfiguration, _ plan: RunPlan) throws(UsageError) {
        guard configuration.kind.grader == .teachers else { return }
        let idle = configuration.usedTeachers.keys.filter { !plan.teachers.contains($0) }.sorted()
        guard let label = idle.first else { return }
        throw UsageError(
            "teachers.\(label): no prompt of this run asks for it; name it in 'teacher' of prompts, give it their tags, or "
                + "leave it out")
    }

    private static func plan(_ configuration: RunConfiguration, _ data: PreparedData) throws -> RunPlan {
        var plan = RunPlan(
            prompts: data.prompts, heldout: data.heldout, seed: configuration.seed,
            steps: UInt64(configuration.training.steps), promptsPerStep: configuration.data.promptsPerStep,
            samplesPerPrompt: configuration.data.samplesPerPrompt,
            maxStaleness: UInt64(configuration.pipeline.maxStaleness),
            evaluationEvery: UInt64(configuration.evaluation.every),
            sampling: configuration.sampling.settings(stopTokenIDs: data.stopTokenIDs))
        plan.shuffle = configuration.data.shuffle
        plan.topTokens = configuration.objective.gradedTokens
        plan.environment = try configuration.episodes()?.identity
        plan.refreshes = configuration.refreshes.mapValues { UInt64($0) }
        plan.averages = Set(configuration.averages.keys)
        if configuration.kind.sampler == .teachers { plan.stepsAhead = stepsAhead }
        return plan
    }

    /// Steps that teachers sample ahead of the learner: enough that they and the learner need not wait for each other,
    /// and little to sample again when a run is resumed.
    private static let stepsAhead: UInt64 = 4

    /// Tries the program that is the environment, where this machine has workers that need it.
    /// - Throws: `UsageError` where it does not do as it should.
    func tryEnvironment() async throws {
        guard configuration.pipeline.workers > 0 else { return }
        try await configuration.tryEnvironment(beginning: data.prompts.first, log: folder.log("environment"))
    }

    /// Runs a learner to its end, or to the checkpoint that a signal or the time limit asks for.
    /// - Parameter activity: what it does until the first step, for a person; nil: nothing to tell.
    func run(_ learner: some RunLearner, activity: String? = nil) async throws -> LearnerProcess.End {
        let keeper = keeper
        let stopping = StopSignal(
            isLearner: true,
            hurry: { if $0 == "SIGINT" { keeper?.end(as: .stopped, reason: "stopped by SIGINT, twice") } }
        ) { signal in
            // By SIGINT a person ends the run; by others a machine or a scheduler ends this process.
            await learner.stop("stopped by \(signal)", handsOver: signal != "SIGINT")
        }
        defer { stopping.end() }
        if let activity { progress.activity(activity) }
        let outcome: LearnerOutcome
        do {
            outcome = try await namingKeys { try await learner.run() }
        } catch {
            await recorder.finish(nil)
            await finishCopies(isFinished: false)
            throw error
        }
        await recorder.finish(outcome.end)
        await finishCopies(isFinished: !outcome.end.isStop)
        keeper?.end(
            as: outcome.handsOver ? .handedOver : outcome.end.isStop ? .stopped : .finished, reason: outcome.end.reason)
        progress.finish()
        if let failure = outcome.checkpointFailure { logger.warning("the last checkpoint is missing: \(failure)") }
        let stopCode = stopping.isReceived ? stopping.exitCode : StopSignal.timeLimitExitCode
        return LearnerProcess.End(
            exitCode: outcome.end.isStop ? stopCode : 0, summary: await summary(outcome, resumeCommand: resumeCommand))
    }

    /// Waits a while for the last checkpoint to be at its second place too.
    private func finishCopies(isFinished: Bool) async {
        guard let copier else { return }
        progress.activity("waiting for the last copy")
        let left = options.timeLimit?.left(after: ContinuousClock.now - options.startedAt)
        let seconds = RunCopies.wait(configuration, isFinished: isFinished, left: left)
        await onThread("opd-copies") { copier.finish(within: seconds) }
    }
}
