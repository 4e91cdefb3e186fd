import Configuration
import Files
import Logging
import RunFiles
import Supervision
import Telemetry
import Transport
import Wording

/// A learner that watches another, and goes on with its run when that is gone.
package enum StandbyProcess {
    /// How the watch ended.
    package enum End: Sendable {
        /// The run is this process's: it goes on from the newest checkpoint.
        case tookOver(HeldTerm)
        /// The run does not go on by itself: the exit status, and what a person reads.
        case over(status: Int32, text: String)
    }

    /// The folder of the run to watch.
    /// - Throws: `UsageError` when there is none.
    package static func folder(of configuration: RunConfiguration) throws -> RunFolder {
        guard configuration.pipeline.standbyAfterSeconds > 0 else {
            throw UsageError(
                "--standby: pipeline.standby_after_s is 0, a run without standby; give both learners the seconds of silence "
                    + "after which one takes over from the other, such as 30")
        }
        let folder = RunFolder(configuration.runFolder)
        guard TermFolder(folder).isThere else {
            throw UsageError(
                "--standby: \(folder.path) has no learner to watch: start that first, with pipeline.standby_after_s and "
                    + "this run folder on a disk that both machines reach")
        }
        return folder
    }

    /// Checks everything that can be checked before, then watches until the run is over or this process's.
    /// - Parameter bind: overrides `pipeline.endpoint`.
    /// - Throws: `UsageError`, `ConfigurationError` for what the user must mend; anything else is a failure.
    package static func run(
        _ configuration: RunConfiguration, folder: RunFolder, bind: String? = nil, engines: EngineChoice = .standard,
        progress: RunProgress, logger: Logger
    ) async throws -> End {
        guard configuration.kind.sampler != .nobody else { throw UsageError(LearnerProcess.noMembers(configuration)) }
        try EndpointPolicy.check(
            bind ?? configuration.pipeline.endpoint, allowPlaintext: configuration.pipeline.allowPlaintext,
            isEncrypted: try configuration.learnerKeys() != nil)
        try TermFolder(folder).checkAccess()
        let given = configuration.dated(.resume, in: folder)
        try check(given, against: folder)
        _ = try PreparedData(given, try await DescribedModels(given, engines: engines, logger: logger))
        let claim = TermClaim(
            folder, after: .seconds(configuration.pipeline.standbyAfterSeconds), progress: progress, logger: logger)
        switch try await claim.watch() {
        case .took(let term): return .tookOver(term)
        case .over(let record):
            let how = "\(folder.path): the run is over for this standby: \(record.owner)"
            switch record.state {
            case .finished: return .over(status: 0, text: "\(how) has finished it")
            case .failed: return .over(status: 1, text: "\(how) has ended it: \(record.reason)")
            case .held, .handedOver, .stopped:
                return .over(
                    status: StopSignal.timeLimitExitCode,
                    text: "\(how) has stopped it: \(record.reason); go on with --resume")
            }
        }
    }

    /// Refuses a configuration with which the run could not go on.
    private static func check(_ configuration: RunConfiguration, against folder: RunFolder) throws {
        let text: String
        do { text = try FileTree.read(folder.configuration, limit: 1 << 24) } catch {
            throw UsageError("--standby: \(error); the learner to watch has not begun yet: start this one after it")
        }
        let other = try RunConfiguration.parse(text, source: folder.configuration, requiring: []).configuration
        let changes = configuration.refusedChanges(since: other, to: .resume)
        guard changes.isEmpty else {
            throw UsageError(
                "--standby: \(changes.joined(separator: ", ")) in \(folder.configuration); give both learners the same "
                    + "configuration")
        }
    }
}
