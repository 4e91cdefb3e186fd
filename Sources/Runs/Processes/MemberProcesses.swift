import Configuration
import Engines
import Exchange
import Foundation
import Logging
import Pipeline
import Supervision
import Transport
import Wire
import Wording

/// What a process does for its learner.
package enum MemberJob: Sendable, Equatable {
    /// It samples with the student or, where teachers sample, with the teacher of this label.
    case rollout(teacher: String?)
    /// It grades with the teacher of this label.
    case scorer(teacher: String)

    fileprivate var role: Role {
        switch self {
        case .rollout: .rollout
        case .scorer: .scorer
        }
    }
}

/// A rollout worker or a scorer as a process.
package enum MemberProcess {
    /// Loads its model, then works for the learner at `connect` until it is told to end.
    /// - Parameters:
    ///   - connect: the learner's endpoint, or several with commas between.
    ///   - relay: endpoints of relays, which are tried first; nil: none.
    /// - Returns: the exit status.
    /// - Throws: `UsageError` for what the user must mend, `MemberError` when the learner is lost.
    package static func run(
        _ job: MemberJob, _ configuration: RunConfiguration, connect: String, relay: String? = nil, name: String,
        engines: EngineChoice = .standard, logger: Logger
    ) async throws -> Int32 {
        // A batch scheduler may send it to every process: it is for the learner alone, which needs this one meanwhile.
        signal(SIGUSR1, SIG_IGN)
        let keys = try configuration.memberKeys(job.role, isBehindRelay: relay != nil)
        let endpoints = try EndpointPolicy.endpoints(
            connect, allowPlaintext: configuration.pipeline.allowPlaintext, isEncrypted: keys != nil)
        let relays = try configuration.relays(relay, isEncrypted: keys != nil)
        let metrics = MetricsEndpoint.open(configuration, member: (name, job.role.rawValue), logger: logger)
        defer { metrics?.close() }
        let model = try job.model(in: configuration, log: Self.log(of: name, kind: "torch", configuration))
        let world = try configuration.episodeWorld(
            log: Self.log(of: name, kind: "environment", configuration), logger: logger)
        let start = try await namingKeys(of: job.modelKey) { try await load(job, model, configuration, engines, world) }
        var options = MemberOptions(configuration, name: name)
        if let metrics { options.metrics = metrics.factory }
        if job != .rollout(teacher: nil) { options.teacher = try await engines.factory(for: model).describe(model) }
        let transport = try ZeroMQTransport.member(
            connect: endpoints, relays: relays, identity: options.identity, keys: keys, logger: logger)
        let member = start(options, transport, logger)
        logger.info("\(job.activity) with \(model.path) for \((relays + endpoints).joined(separator: ", or "))")
        let stopping = StopSignal { signal in await member.stop("stopped by \(signal)") }
        defer { stopping.end() }
        let end: MemberEnd
        do {
            end = try await member.run()
        } catch {
            await world?.close()
            throw error
        }
        await world?.close()
        return try exitStatus(end, stopping)
    }

    /// Where an engine or an environment in processes of its own writes: beside the learner's logs, or where there are
    /// none, in a folder for what is temporary.
    private static func log(of name: String, kind: String, _ configuration: RunConfiguration) -> String {
        let logs = "\(configuration.runFolder)/logs"
        return "\(FileManager.default.fileExists(atPath: logs) ? logs : NSTemporaryDirectory())/\(kind)-\(name).log"
    }

    private typealias Start = @Sendable (MemberOptions, any Transport, Logger) -> any RunMember

    /// - Returns: what makes the member, once it has its engine.
    private static func load(
        _ job: MemberJob, _ model: ModelReference, _ configuration: RunConfiguration, _ engines: EngineChoice,
        _ world: EpisodeWorld?
    ) async throws -> Start {
        let factory = engines.factory(for: model)
        switch job {
        case .rollout(let teacher):
            let episodes = try configuration.episodes()
            let backend = try await sampler(model, configuration, episodes, world, factory)
            return { options, transport, logger in
                var options = options
                options.environment = episodes?.identity
                return RolloutWorker(
                    options: options, teachers: teacher.map { [$0] } ?? [], transport: transport, backend: backend,
                    logger: logger)
            }
        case .scorer(let teacher) where configuration.refreshes[teacher] != nil:
            // It samples nothing, and takes new weights as who samples does.
            let threads = configuration.pipeline.threadCount
            let model = try await factory.evaluator(model, SamplerOptions(slots: 1, threads: threads))
            return { options, transport, logger in
                TeacherScorer(
                    options: options, teachers: [teacher], transport: transport, backend: model, following: model,
                    logger: logger)
            }
        case .scorer(let teacher):
            let backend = try await factory.scorer(
                model, ScorerOptions(threads: configuration.pipeline.threadCount))
            return { options, transport, logger in
                TeacherScorer(
                    options: options, teachers: [teacher], transport: transport, backend: backend, logger: logger)
            }
        }
    }
}

extension MemberProcess {
    /// What samples: episodes, where the run plays such.
    private static func sampler(
        _ model: ModelReference, _ configuration: RunConfiguration, _ episodes: EpisodeSettings?,
        _ world: EpisodeWorld?, _ factory: any EngineFactory
    ) async throws -> any RolloutBackend {
        let sampler = try await factory.sampler(model, configuration.samplerOptions)
        guard let episodes, let world else { return sampler }
        guard let text = try await factory.describe(model).text else {
            throw UsageError(
                "data.environment: the tokenizer of \(model.path) must be on this machine; give its folder")
        }
        let template = try text.templates.configured(by: configuration.data)
        return EpisodeBackend(
            over: sampler, episodes, in: world,
            try EpisodeText(text, template, role: configuration.data.environment.role))
    }
}

extension MemberJob {
    fileprivate var activity: String {
        switch self {
        case .rollout: "sampling"
        case .scorer: "scoring"
        }
    }

    /// The key of its model in a configuration.
    fileprivate var modelKey: String {
        switch self {
        case .rollout(nil): "student.model"
        case .rollout(let teacher?), .scorer(let teacher): "teachers.\(teacher).model"
        }
    }

    /// - Throws: `UsageError` when the configuration has no such teacher.
    fileprivate func model(in configuration: RunConfiguration, log: String) throws(UsageError) -> ModelReference {
        switch self {
        case .rollout(nil): configuration.rolloutReference(log: log)
        case .rollout(let teacher?), .scorer(let teacher):
            configuration.reference(of: try configuration.teacher(teacher), label: teacher, log: log)
        }
    }
}

extension RunConfiguration {
    /// The teacher of this label; that there is none is the user's to mend.
    fileprivate func teacher(_ label: String) throws(UsageError) -> Model {
        guard let model = teachers[label] else {
            let known = teachers.keys.sorted().joined(separator: ", ")
            throw UsageError("the configuration has no teacher '\(label)'; it has: \(known)")
        }
        return model
    }
}

extension MemberOptions {
    fileprivate init(_ configuration: RunConfiguration, name: String) {
        self.init(
            name: name, patience: .seconds(configuration.pipeline.connectTimeoutSeconds),
            processID: UInt64(ProcessInfo.processInfo.processIdentifier))
        takesDifferences = configuration.pipeline.weightDifferences == .auto
        finishesSequences = configuration.pipeline.weightSwap == .betweenSequences
    }
}

/// A member's end as an exit status; what a person must know is thrown.
private func exitStatus(_ end: MemberEnd, _ stopping: StopSignal) throws -> Int32 {
    if case .stopped = end { return stopping.exitCode }
    guard let failure = end.failure else { return end.exitCode }
    if end.exitCode == 2 { throw UsageError(failure) }
    throw MemberError(failure)
}
