import Configuration
import Exchange
import Foundation
import Logging
import Models
import NativeEngine
import Pipeline
import Supervision
import Transport
import Wording

/// A rollout worker as a process.
package enum RolloutProcess {
    /// Loads the student or, where teachers sample, the teacher of this label, then samples for the learner at `connect`
    /// until it is told to end.
    /// - Returns: the exit status.
    /// - Throws: `UsageError` for what the user must mend, `MemberError` when the learner is lost.
    package static func run(
        _ configuration: RunConfiguration, teacher: String?, connect: String, name: String, logger: Logger
    ) async throws -> Int32 {
        // A batch scheduler may send it to every process: it is for the learner alone, which needs this one meanwhile.
        signal(SIGUSR1, SIG_IGN)
        let keys = try configuration.memberKeys(.rollout)
        try EndpointPolicy.check(
            connect, allowPlaintext: configuration.pipeline.allowPlaintext, isEncrypted: keys != nil)
        let model = try teacher.map(configuration.teacher) ?? configuration.student
        let files = try ModelFiles.open(model.model)
        let backend = try StudentSampler(
            files, type: model.elementType, slots: configuration.pipeline.slots,
            threads: configuration.pipeline.threadCount,
            adapters: teacher == nil ? try configuration.adapters(of: files)?.layout : nil)
        let options = MemberOptions(configuration, name: name)
        let transport = try ZeroMQTransport.member(
            connect: connect, identity: options.identity, keys: keys, logger: logger)
        let worker = RolloutWorker(
            options: options, teachers: teacher.map { [$0] } ?? [], transport: transport, backend: backend,
            logger: logger)
        logger.info("sampling with \(model.model) for \(connect)")
        let stopping = StopSignal { signal in await worker.stop("stopped by \(signal)") }
        defer { stopping.end() }
        return try exitStatus(await worker.run(), stopping)
    }
}

/// A teacher scorer as a process.
package enum ScorerProcess {
    /// Loads the teacher of this label, then scores for the learner at `connect` until it is told to end.
    /// - Returns: the exit status.
    /// - Throws: `UsageError` for what the user must mend, `MemberError` when the learner is lost.
    package static func run(
        _ configuration: RunConfiguration, teacher: String, connect: String, name: String, logger: Logger
    ) async throws -> Int32 {
        // A batch scheduler may send it to every process: it is for the learner alone, which needs this one meanwhile.
        signal(SIGUSR1, SIG_IGN)
        let keys = try configuration.memberKeys(.scorer)
        try EndpointPolicy.check(
            connect, allowPlaintext: configuration.pipeline.allowPlaintext, isEncrypted: keys != nil)
        let model = try configuration.teacher(teacher)
        let backend = try TeacherModel(
            ModelFiles.open(model.model), type: model.dtype.elementType, threads: configuration.pipeline.threadCount)
        let options = MemberOptions(configuration, name: name)
        let transport = try ZeroMQTransport.member(
            connect: connect, identity: options.identity, keys: keys, logger: logger)
        let scorer = TeacherScorer(
            options: options, teachers: [teacher], transport: transport, backend: backend, logger: logger)
        logger.info("scoring with \(model.model) for \(connect)")
        let stopping = StopSignal { signal in await scorer.stop("stopped by \(signal)") }
        defer { stopping.end() }
        return try exitStatus(await scorer.run(), stopping)
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
    }
}

/// A member's end as an exit status; what a person must know is thrown.
private func exitStatus(_ end: MemberEnd, _ stopping: StopSignal) throws -> Int32 {
    if case .stopped = end { return stopping.exitCode }
    guard let failure = end.failure else { return end.exitCode }
    if end.exitCode == 2 { throw UsageError(failure) }
    throw MemberError(failure)
}
