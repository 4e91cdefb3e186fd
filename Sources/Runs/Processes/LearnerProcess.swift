import Configuration
import CoreMetrics
import Distillation
import Exchange
import Foundation
import Logging
import Pipeline
import RunFiles
import Supervision
import Telemetry
import Transport
import Wording

/// The learner as a process: from a configuration to the end of its run.
package enum LearnerProcess {
    /// Where a learner begins.
    package enum Start: Sendable, Equatable {
        case fresh
        /// The run goes on from its last intact checkpoint, if there is one.
        case resume
        /// The run begins with a checkpoint of another: its folder, or that of the run.
        case from(String)
        /// The run goes on from the newest intact copy of its checkpoints at this place.
        case resumeFrom(String)
    }

    /// How it ended.
    package struct End: Sendable {
        /// 0 when all steps are done; after a stop with a checkpoint 128 plus the signal's number, or 75 when it was for
        /// the time limit.
        package var exitCode: Int32
        /// What a person reads at the end.
        package var summary: RunSummary
    }

    /// Binds, loads the student, hands out work until all steps are done or a signal comes.
    /// - Parameters:
    ///   - bind: overrides `pipeline.endpoint`.
    ///   - resumeCommand: what a person types to go on.
    ///   - timeLimit: for this process, its loading included.
    ///   - term: in which a standby has taken the run over; nil: this process has yet to claim the folder.
    /// - Throws: `UsageError`, `ConfigurationError` for what the user must mend; anything else is a failure.
    package static func run(
        _ configuration: RunConfiguration, folder: RunFolder, bind: String? = nil, start: Start,
        resumeCommand: String, timeLimit: TimeLimit? = nil, term: HeldTerm? = nil,
        engines: EngineChoice = .standard, progress: RunProgress, logger: Logger
    ) async throws -> End {
        let startedAt = ContinuousClock.now
        guard configuration.kind.sampler != .nobody else { throw UsageError(noMembers(configuration)) }
        let endpoint = bind ?? configuration.pipeline.endpoint
        let keys = try configuration.learnerKeys()
        try EndpointPolicy.check(
            endpoint, allowPlaintext: configuration.pipeline.allowPlaintext, isEncrypted: keys != nil)
        let claim = try await Self.claim(folder, configuration, term: term, progress: progress, logger: logger)
        defer { withExtendedLifetime(claim) {} }
        do {
            return try await run(
                configuration, folder: folder, endpoint: endpoint, keys: keys, start: start, keeper: claim.keeper,
                resumeCommand: resumeCommand, timeLimit: timeLimit, startedAt: startedAt, engines: engines,
                progress: progress, logger: logger)
        } catch {
            claim.keeper?.fail(error, hasBegun: folder.hasRecords)
            throw error
        }
    }

    /// Seconds of silence after which the term of a run that has no standby any more is another's.
    private static let usualSilence = 30.0

    /// Why a run without members has no learner.
    static func noMembers(_ configuration: RunConfiguration) -> String {
        "objective.kind '\(configuration.objective.kind.rawValue)' needs no workers and no learner to serve them; use "
            + "'opd run'"
    }

    /// What keeps other learners out of the run's folder: a term where it has such, else a lock of this machine.
    private static func claim(
        _ folder: RunFolder, _ configuration: RunConfiguration, term: HeldTerm?, progress: RunProgress, logger: Logger
    ) async throws -> (lock: RunFolderLock?, keeper: TermKeeper?) {
        let seconds = configuration.pipeline.standbyAfterSeconds
        // A folder that has had terms keeps them: the learner of one may be suspended still.
        guard term != nil || seconds > 0 || TermFolder(folder).isThere else { return (try folder.lock(), nil) }
        let after: Duration = .seconds(seconds > 0 ? seconds : usualSilence)
        var held = term
        if held == nil {
            held = try await TermClaim(folder, after: after, progress: progress, logger: logger).begin()
        }
        guard let held else { preconditionFailure("a claim gives a term or throws") }
        let keeper = TermKeeper(held, of: folder, logger: logger) { reason in
            // At once, and without a word to members: they go on with the learner that has the run now. The log is on the
            // disk of the run, which may be what has gone.
            Thread.detachNewThread {
                Thread.sleep(forTimeInterval: 2)
                _exit(1)
            }
            progress.finish()
            logger.error("\(reason)")
            _exit(1)
        }
        logger.info("this learner has the run in term \(held.number)")
        return (nil, keeper)
    }

    private static func run(
        _ configuration: RunConfiguration, folder: RunFolder, endpoint: String, keys: LearnerKeys?, start: Start,
        keeper: TermKeeper?, resumeCommand: String, timeLimit: TimeLimit?, startedAt: ContinuousClock.Instant,
        engines: EngineChoice, progress: RunProgress, logger: Logger
    ) async throws -> End {
        let start = try await start.fetched(into: folder, progress: progress, logger: logger)
        let copies = try await RunCopies.open(
            configuration, for: folder, start: start, progress: progress, logger: logger)
        let configuration = configuration.dated(start, in: folder)
        // Bound before the models load: members that start with the learner find it at once.
        let transport = try ZeroMQTransport.learner(bind: endpoint, keys: keys, logger: logger)
        do {
            try folder.writeEndpoint(transport.endpoint)
            try folder.write(configuration.yaml(markingDefaults: false), to: folder.configuration)
            let privacy = keys.map { "encrypted, with the public key \($0.keys.publicKey)" } ?? "in plain text"
            logger.info("listening at \(transport.endpoint), \(privacy)")
            let metrics = MetricsEndpoint.open(configuration, logger: logger)
            defer { metrics?.close() }
            return try await run(
                configuration, folder: folder, transport: transport,
                relayKeys: Set((keys?.policy.relays ?? []).map(\.text)), start: start, copies: copies, keeper: keeper,
                resumeCommand: resumeCommand, timeLimit: timeLimit, startedAt: startedAt, engines: engines,
                progress: progress, metrics: metrics?.factory, logger: logger)
        } catch {
            await transport.close()
            throw error
        }
    }

    private static func run(
        _ configuration: RunConfiguration, folder: RunFolder, transport: ZeroMQTransport, relayKeys: Set<String>,
        start: Start, copies: RunCopies?, keeper: TermKeeper?, resumeCommand: String, timeLimit: TimeLimit?,
        startedAt: ContinuousClock.Instant, engines: EngineChoice, progress: RunProgress,
        metrics: (any MetricsFactory)?, logger: Logger
    ) async throws -> End {
        let waiting = Task { await StartingLearner(transport).answer() }
        defer { waiting.cancel() }
        let setup = try await RunSetup(
            configuration, engines: engines, folder: folder, start: start, copies: copies, keeper: keeper,
            resumeCommand: resumeCommand, timeLimit: timeLimit, startedAt: startedAt, progress: progress,
            metrics: metrics, logger: logger)
        // A learner that was started by itself has its workers elsewhere.
        if ChildProcess.isManaged { try await setup.tryEnvironment() }
        let runID = "\(configuration.name)-\(String(UInt64.random(in: 1 ... .max), radix: 16))"
        let publisher = WeightPublisher(
            runID: runID, makesDifferences: configuration.pipeline.weightDifferences == .auto, logger: logger)
        // Their scorers take whole versions.
        let averages = Dictionary(
            uniqueKeysWithValues: configuration.averages.keys.map { label in
                (label, WeightPublisher(runID: "\(runID)-\(label)", makesDifferences: false, logger: logger))
            })
        defer { ([publisher] + averages.values).forEach { $0.close() } }
        var exchange = ExchangeOptions(
            runID: runID, lease: .seconds(configuration.pipeline.leaseSeconds),
            heartbeat: .seconds(configuration.pipeline.heartbeatSeconds),
            tokenizerFingerprint: setup.data.tokenizer.fingerprint, arithmetic: setup.trainer.arithmetic,
            vocabularySize: Int32(setup.models.student.vocabularySize))
        exchange.relayKeys = relayKeys
        exchange.retokenizers = setup.data.retokenized.retokenizers
        exchange.tokenizers = setup.data.teacherTokenizers
        // A teacher whose files are here has been checked; another is when it joins.
        if configuration.data.template == "auto" { exchange.templateIdentity = setup.models.student.templateIdentity }
        exchange.equivalentTemplates = setup.data.templates.equivalent
        var options = LearnerOptions(
            run: setup.options, exchange: exchange, objective: configuration.objective.objective)
        options.givenCoefficient = configuration.objective.crossEntropyCoefficient
        if setup.data.hasVerifiers { options.judge = ResponseJudge(setup.data.tokenizer, logger: logger) }
        if configuration.kind.evaluator == .learner { options.evaluator = try await setup.evaluator() }
        options.teacherPassRate = try await setup.teacherPassRate()
        waiting.cancel()
        await waiting.value
        let learner = Learner(
            options: options, transport: transport, backend: setup.trainer, publisher: publisher,
            averages: averages, checkpoints: setup.store, resuming: setup.resuming, recorder: setup.recorder,
            logger: logger)
        return try await setup.run(learner, activity: "waiting for members at \(transport.endpoint)")
    }
}
