import Configuration
import Engines
import Logging
import Pipeline
import RunFiles
import Telemetry
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
        guard given.pipeline.standbyAfterSeconds == 0 else {
            throw UsageError(
                "pipeline.standby_after_s: a run of this kind has no learner that another could take over from; leave it out"
            )
        }
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        let start = try await start.fetched(into: folder, progress: progress, logger: logger)
        let copies = try await RunCopies.open(given, for: folder, start: start, progress: progress, logger: logger)
        let given = given.dated(start, in: folder)
        let studentPath =
            given.shape.layers > 0 ? try await makeStudent(given, engines, in: folder, logger: logger) : nil
        try folder.write(given.yaml(markingDefaults: false), to: folder.configuration)
        let metrics = MetricsEndpoint.open(given, logger: logger)
        defer { metrics?.close() }
        let setup = try await RunSetup(
            given, studentPath: studentPath, engines: engines, folder: folder, start: start,
            copies: copies, resumeCommand: resumeCommand, timeLimit: timeLimit, startedAt: startedAt,
            progress: progress, metrics: metrics?.factory, logger: logger)
        guard let examples = setup.data.examples else { preconditionFailure("a supervised run has examples") }
        let learner = SupervisedLearner(
            options: setup.options, backend: setup.trainer, source: examples, evaluator: try await setup.evaluator(),
            checkpoints: setup.store, resuming: setup.resuming, recorder: setup.recorder, logger: logger)
        return try await setup.run(learner)
    }

    /// Writes the model that a run from scratch begins with, unless it is there already.
    static func makeStudent(
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
