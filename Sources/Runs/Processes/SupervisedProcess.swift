import Configuration
import Distillation
import Engines
import Foundation
import Logging
import Pipeline
import RunFiles
import Supervision
import Telemetry
import Wire
import Wording

/// A supervised run as a process: from a configuration to the end of its run. It needs no other.
package enum SupervisedProcess {
    /// Trains until all steps are done or a signal comes.
    /// - Parameters:
    ///   - resumeCommand: what a person types to go on.
    ///   - timeLimit: for this process, its loading included.
    /// - Throws: `UsageError`, `ConfigurationError` for what the user must mend; anything else is a failure.
    package static func run(
        _ given: RunConfiguration, folder: RunFolder, start: LearnerProcess.Start, resumeCommand: String,
        timeLimit: TimeLimit? = nil, engines: EngineChoice = .standard, progress: RunProgress, logger: Logger
    ) async throws -> LearnerProcess.End {
        let startedAt = ContinuousClock.now
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        var configuration = given
        if configuration.shape.layers > 0 {
            configuration.student.model = try await makeStudent(configuration, engines, in: folder, logger: logger)
        }
        try folder.write(given.yaml(markingDefaults: false), to: folder.configuration)
        progress.activity("loading the student")
        let models = try await DescribedModels(configuration, engines: engines, logger: logger)
        let data = try PreparedData(configuration, models)
        guard let examples = data.examples else { preconditionFailure("a supervised run has examples") }
        let plan = LearnerProcess.runPlan(configuration, data)
        let store = CheckpointStore(folder: folder.checkpoints)
        try store.prepare()
        if case .from(let path) = start {
            try await LearnerProcess.adopt(path, store, given, plan, data.tokenizer, logger)
        }
        let resuming =
            start == .fresh
            ? nil : try await LearnerProcess.restorePoint(store, folder, given, plan, data.tokenizer, logger)
        if let resuming { progress.resume(after: resuming.checkpoint.step) }

        let student = configuration.studentReference
        let backend = try await engines.factory(for: student).trainer(student, configuration.trainerOptions)
        let tokenizer = data.tokenizer
        let recorder = try FolderRecorder(
            folder: folder, resuming: resuming?.state, progress: progress, plan: plan,
            decode: { tokenizer.decode($0) }, logger: logger)
        let schedule = configuration.training.learningRateSchedule
        var options = SupervisedOptions(plan: plan, learningRate: { schedule.rate(step: Int($0)) })
        options.stepGuard = configuration.training.stepGuard
        options.costModel = models.costModel
        options.target = configuration.evaluation.target
        options.checkpoints = configuration.checkpoint.schedule
        options.configurationText = given.yaml()
        options.timeLimit = timeLimit
        options.startedAt = startedAt
        let learner = SupervisedLearner(
            options: options, backend: backend, source: examples,
            evaluator: try await LearnerProcess.evaluator(configuration, engines, data, logger), checkpoints: store,
            resuming: resuming,
            recorder: recorder, logger: logger)
        let stopping = StopSignal(isLearner: true) { signal in await learner.stop("stopped by \(signal)") }
        defer { stopping.end() }
        let outcome = try await namingKeys { try await learner.run() }
        progress.finish()
        if let failure = outcome.checkpointFailure { logger.warning("the last checkpoint is missing: \(failure)") }
        return LearnerProcess.End(
            exitCode: !outcome.end.isStop
                ? 0 : (stopping.isReceived ? stopping.exitCode : StopSignal.timeLimitExitCode),
            summary: await LearnerProcess.summary(
                outcome, configuration: configuration, answers: HeldoutAnswers(configuration, models, data, engines),
                question: data.heldout.first?.text, folder: folder, resumeCommand: resumeCommand, logger: logger))
    }

    /// Writes the model that a run from scratch begins with, unless it is there already.
    private static func makeStudent(
        _ configuration: RunConfiguration, _ engines: EngineChoice, in folder: RunFolder, logger: Logger
    ) async throws -> String {
        let shape = configuration.shape
        let path = "\(folder.path)/initial"
        let reference = ModelReference(path: path, type: configuration.student.dtype.weightType)
        let parameters = try await namingKeys {
            try await engines.factory(for: reference).create(
                InitialShape(
                    layers: shape.layers, hidden: shape.hidden, heads: shape.heads,
                    keyValueHeads: shape.keyValueHeads, intermediate: shape.intermediate, context: shape.context),
                seed: UInt64(shape.seed), at: path)
        }
        logger.info("\(path): \(parameters) parameters, drawn from seed \(shape.seed)")
        return path
    }
}
