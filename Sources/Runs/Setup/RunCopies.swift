import CheckpointCopies
import Configuration
import Files
import Foundation
import Locking
import Logging
import RunFiles
import Telemetry
import Wording

/// The second place of a run's checkpoints, found to work before the run begins.
struct RunCopies {
    private let place: any CopyPlace
    /// Step of the newest whole copy that is there.
    private let newest: Int?

    /// What a run that was stopped, or has failed, gives its last copy: who stops it seldom has much time.
    private static let stoppedWait = 30

    /// Tries the place that a configuration names, and takes it for the run; nil: it names none.
    ///
    /// A run that goes on is not kept from it by a place that fails: that is said, and tried again.
    /// - Parameter isRehearsal: whether nothing is to stay there.
    static func open(
        _ configuration: RunConfiguration, for run: RunFolder, start: LearnerProcess.Start, isRehearsal: Bool = false,
        progress: RunProgress, logger: Logger
    ) async throws -> RunCopies? {
        guard let text = configuration.checkpoint.copyTo else { return nil }
        let key = "checkpoint.copy_to"
        let address = try PlaceAddress(text, key: key)
        try CopyOpening.check(address, for: run, key: key)
        let place = try Self.place(address)
        progress.activity("trying \(place.name)")
        do {
            return RunCopies(
                place: place, newest: try await CopyOpening.open(place, for: run, isRehearsal: isRehearsal))
        } catch let error as PlaceError where start == .resume {
            logger.warning("\(key): \(error); the run goes on, and checkpoints are copied once it works")
            // Another: one that was stopped stays so.
            return RunCopies(place: try Self.place(address), newest: nil)
        } catch let error as PlaceError {
            throw PlaceError("checkpoint.copy_to", "\(error); mend it, or leave the key out")
        }
    }

    /// What reaches a place.
    /// - Throws: `UsageError` for a store whose keys are not found.
    static func place(_ address: PlaceAddress) throws(UsageError) -> any CopyPlace {
        switch address {
        case .folder(let path): FolderPlace(path)
        case .ssh(let user, let host, let port, let path):
            SSHPlace(user: user, host: host, port: port, path: path)
        case .s3(let bucket, let prefix):
            S3Place(
                bucket: bucket, prefix: prefix,
                sender: try S3Connection(bucket: bucket, account: account(), reload: { try? account() }))
        }
    }

    /// The user's own account at a store, as it is now: keys in files are renewed by others.
    private static func account() throws(UsageError) -> S3Account {
        try S3Account(environment: ProcessInfo.processInfo.environment) { path throws(FileError) in
            guard try FileTree.knownKind(path) != .missing else { return nil }
            return try FileTree.read(path, limit: ProfileFile.mostBytes)
        }
    }

    /// Begins to copy.
    func copier(_ configuration: RunConfiguration, of run: RunFolder, logger: Logger) -> CheckpointCopier {
        CheckpointCopier(
            to: place, newest: newest, of: run, keeping: configuration.checkpoint.schedule, logger: logger)
    }

    /// Seconds that a run waits for its last copy.
    /// - Parameters:
    ///   - isFinished: whether all its steps are done.
    ///   - left: until its process is ended; nil: nobody ends it.
    static func wait(_ configuration: RunConfiguration, isFinished: Bool, left: Duration? = nil) -> Int {
        let wait = isFinished ? configuration.checkpoint.copyWait : min(configuration.checkpoint.copyWait, stoppedWait)
        return min(wait, left.map { max(0, Int($0.components.seconds)) } ?? wait)
    }
}

extension LearnerProcess.Start {
    /// The same start from files of this machine: what is elsewhere is fetched into the run's folder.
    func fetched(into run: RunFolder, progress: RunProgress, logger: Logger) async throws -> LearnerProcess.Start {
        let text: String, isResuming: Bool
        switch self {
        case .resumeFrom(let place): (text, isResuming) = (place, true)
        case .from(let path) where PlaceAddress.isURL(path): (text, isResuming) = (path, false)
        case .fresh, .resume, .from:
            if let place = run.cutOffFetch {
                throw UsageError(
                    "\(run.path) was being fetched from \(place) when that was cut off; give --resume-from \(place) again, "
                        + "without --resume, or remove \(run.fetching) to begin anew")
            }
            return self
        }
        let place = try RunCopies.place(PlaceAddress(text, key: isResuming ? "--resume-from" : "--from"))
        progress.activity("fetching a checkpoint from \(place.name)")
        let found = await onThread("opd-copies") {
            Result {
                let fetch = CopyFetch(place) { logger.warning("\($0)") }
                return isResuming ? try fetch.resume(into: run).step : try fetch.fetch(into: run.fetched)
            }
        }
        let step = try found.get()
        logger.notice("fetched the checkpoint of step \(step) from \(place.name)")
        return isResuming ? .resume : .from(run.fetched)
    }
}
