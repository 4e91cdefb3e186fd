import CheckpointCopies
import Configuration
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
        let place = try Self.place(text, key: "checkpoint.copy_to")
        progress.activity("trying \(place.name)")
        let found = await onThread("opd-copies") {
            Result {
                try place.probe()
                if isRehearsal {
                    try CopyOwner.check(place, for: run)
                } else {
                    try CopyOwner.claim(place, for: run)
                }
                return try place.list().newestFirst.first
            }
        }
        do {
            return RunCopies(place: place, newest: try found.get())
        } catch let error as PlaceError where start == .resume {
            logger.warning("checkpoint.copy_to: \(error); the run goes on, and checkpoints are copied once it works")
            return RunCopies(place: place, newest: nil)
        } catch let error as PlaceError {
            throw PlaceError("checkpoint.copy_to", "\(error); mend it, or leave the key out")
        }
    }

    /// What reaches a place.
    static func place(_ text: String, key: String) throws(UsageError) -> any CopyPlace {
        switch try PlaceAddress(text, key: key) {
        case .folder(let path): FolderPlace(path)
        case .ssh(let user, let host, let port, let path): SSHPlace(user: user, host: host, port: port, path: path)
        case .s3:
            throw UsageError(
                "\(key): '\(text)' is a store of objects, which this opd does not speak to; give file:// or ssh://")
        }
    }

    /// Begins to copy.
    func copier(_ configuration: RunConfiguration, of run: RunFolder, logger: Logger) -> CheckpointCopier {
        CheckpointCopier(
            to: place, newest: newest, of: run, keeping: configuration.checkpoint.schedule, logger: logger)
    }

    /// Seconds that a run waits for its last copy.
    /// - Parameter isFinished: whether all its steps are done.
    static func wait(_ configuration: RunConfiguration, isFinished: Bool) -> Int {
        isFinished ? configuration.checkpoint.copyWait : min(configuration.checkpoint.copyWait, stoppedWait)
    }
}

extension LearnerProcess.Start {
    /// The same start from files of this machine: what is elsewhere is fetched into the run's folder.
    func fetched(into run: RunFolder, progress: RunProgress, logger: Logger) async throws -> LearnerProcess.Start {
        let text: String, isResuming: Bool
        switch self {
        case .resumeFrom(let place): (text, isResuming) = (place, true)
        case .from(let path) where PlaceAddress.isURL(path): (text, isResuming) = (path, false)
        case .fresh, .resume, .from: return self
        }
        let place = try RunCopies.place(text, key: isResuming ? "--resume-from" : "--from")
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
