import Configuration
import Distillation
import Engines
import Exchange
import Foundation
import Logging
import Pipeline
import RunFiles
import Supervision
import Telemetry
import Transport
import UnixSignals
import Wire
import Wording

/// The learner as a process: from a configuration to the end of its run.
package enum LearnerProcess {
    /// How it ended.
    package struct End: Sendable {
        /// 0 when all steps are done; after a stop with a checkpoint 128 plus the signal's number, or 75 when it was for
        /// the time limit.
        package var exitCode: Int32
        /// For a person.
        package var summary: RunSummary
    }

    /// Binds, loads the student, hands out work until all steps are done or a signal comes.
    /// - Parameters:
    ///   - bind: overrides `pipeline.endpoint`.
    ///   - resumeCommand: what a person types to go on.
    ///   - timeLimit: for this process, its loading included.
    /// - Throws: `UsageError`, `ConfigurationError` for what the user must mend; anything else is a failure.
    package static func run(
        _ configuration: RunConfiguration, folder: RunFolder, bind: String? = nil, start: Start,
        resumeCommand: String, timeLimit: TimeLimit? = nil, engines: EngineChoice = .standard, progress: RunProgress,
        logger: Logger
    ) async throws -> End {
        let startedAt = ContinuousClock.now
        guard configuration.objective.kind.samples else {
            throw UsageError(
                "objective.kind '\(configuration.objective.kind.rawValue)' needs no workers and no learner to serve them; use "
                    + "'opd run'")
        }
        let endpoint = bind ?? configuration.pipeline.endpoint
        let keys = try configuration.learnerKeys()
        try EndpointPolicy.check(
            endpoint, allowPlaintext: configuration.pipeline.allowPlaintext, isEncrypted: keys != nil)
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        // Bound before the models load: members that start with the learner find it at once.
        let transport = try ZeroMQTransport.learner(bind: endpoint, keys: keys, logger: logger)
        do {
            try folder.writeEndpoint(transport.endpoint)
            try folder.write(configuration.yaml(markingDefaults: false), to: folder.configuration)
            let privacy = keys.map { "encrypted, with the public key \($0.keys.publicKey)" } ?? "in plain text"
            logger.info("listening at \(transport.endpoint), \(privacy)")
            return try await run(
                configuration, folder: folder, transport: transport, start: start, resumeCommand: resumeCommand,
                timeLimit: timeLimit, startedAt: startedAt, engines: engines, progress: progress, logger: logger)
        } catch {
            await transport.close()
            throw error
        }
    }

    private static func run(
        _ configuration: RunConfiguration, folder: RunFolder, transport: ZeroMQTransport, start: Start,
        resumeCommand: String, timeLimit: TimeLimit?, startedAt: ContinuousClock.Instant, engines: EngineChoice,
        progress: RunProgress, logger: Logger
    ) async throws -> End {
        progress.activity("loading the student")
        let models = try await DescribedModels(configuration, engines: engines, logger: logger)
        let data = try PreparedData(configuration, models)
        let plan = runPlan(configuration, data)
        let store = CheckpointStore(folder: folder.checkpoints)
        try store.prepare()
        if case .from(let path) = start {
            progress.activity("copying the checkpoint")
            try await adopt(path, store, configuration, plan, data.tokenizer, logger)
        }
        if start != .fresh { progress.activity("checking the checkpoints") }
        let resuming =
            start == .fresh
            ? nil : try await restorePoint(store, folder, configuration, plan, data.tokenizer, logger)
        if let resuming { progress.resume(after: resuming.checkpoint.step) }
        progress.activity("loading the student")

        let student = configuration.studentReference
        let backend = try await engines.factory(for: student).trainer(student, configuration.trainerOptions)
        let tokenizer = data.tokenizer
        let recorder = try FolderRecorder(
            folder: folder, resuming: resuming?.state, progress: progress, plan: plan,
            decode: { tokenizer.decode($0) }, logger: logger)
        let runID = "\(configuration.name)-\(String(UInt64.random(in: 1 ... .max), radix: 16))"
        let publisher = WeightPublisher(runID: runID, logger: logger)
        defer { publisher.close() }
        let schedule = configuration.training.learningRateSchedule
        let exchange = ExchangeOptions(
            runID: runID, lease: .seconds(configuration.pipeline.leaseSeconds),
            heartbeat: .seconds(configuration.pipeline.heartbeatSeconds), tokenizerFingerprint: tokenizer.fingerprint,
            arithmetic: backend.arithmetic, vocabularySize: Int32(models.student.vocabularySize))
        var options = LearnerOptions(
            plan: plan, exchange: exchange, objective: configuration.objective.objective,
            learningRate: { schedule.rate(step: Int($0)) })
        options.checkpoints = configuration.checkpoint.schedule
        options.stepGuard = configuration.training.stepGuard
        options.costModel = models.costModel
        options.target = configuration.evaluation.target
        if data.hasVerifiers { options.judge = ResponseJudge(tokenizer, logger: logger) }
        if configuration.objective.kind.evaluatesInLearner {
            options.evaluator = try await evaluator(configuration, engines, data, logger)
        }
        if configuration.evaluation.teachers {
            progress.activity("asking the teachers")
            options.teacherPassRate = try await HeldoutAnswers(configuration, models, data, engines).teacherPassRate()
        }
        options.configurationText = configuration.yaml()
        options.timeLimit = timeLimit
        options.startedAt = startedAt
        let learner = Learner(
            options: options, transport: transport, backend: backend, publisher: publisher, checkpoints: store,
            resuming: resuming,
            recorder: recorder, logger: logger)

        let stopping = StopSignal(isLearner: true) { signal in await learner.stop("stopped by \(signal)") }
        defer { stopping.end() }
        progress.activity("waiting for members at \(transport.endpoint)")
        let outcome = try await namingKeys { try await learner.run() }
        progress.finish()
        if let failure = outcome.checkpointFailure {
            logger.warning("the last checkpoint is missing: \(failure)")
        }
        return End(
            exitCode: !outcome.end.isStop
                ? 0 : (stopping.isReceived ? stopping.exitCode : StopSignal.timeLimitExitCode),
            summary: await summary(
                outcome, configuration: configuration, answers: HeldoutAnswers(configuration, models, data, engines),
                question: data.heldout.first?.text, folder: folder, resumeCommand: resumeCommand, logger: logger))
    }

    static func runPlan(_ configuration: RunConfiguration, _ data: PreparedData) -> RunPlan {
        let sampling = configuration.sampling
        var plan = RunPlan(
            prompts: data.prompts, heldout: data.heldout, seed: configuration.seed,
            steps: UInt64(configuration.training.steps), promptsPerStep: configuration.data.promptsPerStep,
            samplesPerPrompt: configuration.data.samplesPerPrompt,
            maxStaleness: UInt64(configuration.pipeline.maxStaleness),
            evaluationEvery: UInt64(configuration.evaluation.every),
            sampling: SamplingSettings(
                maxTokens: sampling.maxTokens, temperature: Float(sampling.temperature), topP: Float(sampling.topP),
                topK: sampling.topK, stopTokenIDs: data.stopTokenIDs))
        plan.shuffle = configuration.data.shuffle
        if configuration.objective.kind.teachersSample { plan.stepsAhead = stepsAhead }
        return plan
    }

    /// Steps that teachers sample ahead of the learner: enough that they and the learner need not wait for each other,
    /// and little to sample again when a run is resumed.
    private static let stepsAhead: UInt64 = 4

    /// What evaluates in the learner's process; nil where a run is not evaluated.
    static func evaluator(
        _ configuration: RunConfiguration, _ engines: EngineChoice, _ data: PreparedData, _ logger: Logger
    ) async throws -> HeldoutEvaluator? {
        guard configuration.evaluation.every > 0, !data.heldout.isEmpty else { return nil }
        let student = configuration.studentReference
        return HeldoutEvaluator(
            sampler: try await engines.factory(for: student).evaluator(student, configuration.samplerOptions),
            judge: ResponseJudge(data.tokenizer, logger: logger))
    }
}
