import Files
import Foundation
import Locking
import RunFiles
import Wording

/// A place is found to work, and to be a run's, before the run begins.
package enum CopyOpening {
    /// Tries a place, and takes it for a run; ends what hangs.
    /// - Parameters:
    ///   - isRehearsal: whether nothing is to stay there.
    ///   - limit: the longest that all of it may take. The place is stopped then.
    /// - Returns: the step of the newest whole copy that is there; nil: there is none.
    package static func open(
        _ place: any CopyPlace, for run: RunFolder, isRehearsal: Bool = false, within limit: Duration = .seconds(150)
    ) async throws -> Int? {
        let answer = Locked<CheckedContinuation<Result<Int?, any Error>, Never>?>(nil)
        // Whoever comes first: the other finds nobody to answer.
        @Sendable func finish(_ result: Result<Int?, any Error>) -> Bool {
            let waiting = answer.withLock { answer in
                defer { answer = nil }
                return answer
            }
            waiting?.resume(returning: result)
            return waiting != nil
        }
        let clock = Task {
            guard (try? await Task.sleep(for: limit)) != nil else { return }
            let error = PlaceError(place.name, "it has not answered for \(limit.shortSeconds) s")
            if finish(.failure(error)) { place.stop() }
        }
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Int?, any Error>, Never>) in
            answer.withLock { $0 = continuation }
            // A thread that hangs in the kernel is left there.
            let thread = Thread { _ = finish(Result { try tryOut(place, for: run, isRehearsal: isRehearsal) }) }
            thread.name = "opd-copies"
            thread.start()
        }
        clock.cancel()
        return try result.get()
    }

    private static func tryOut(_ place: any CopyPlace, for run: RunFolder, isRehearsal: Bool) throws -> Int? {
        // Before anything is written: it would be below where a disk is to be mounted.
        try CopyOwner.check(place, for: run)
        try place.probe()
        if !isRehearsal { try CopyOwner.claim(place, for: run) }
        return try place.list().inOrder(latest: LatestCopy.read(from: place)).first?.step
    }

    /// Refuses a folder that is the run's own, or in it.
    /// - Throws: `UsageError`.
    package static func check(_ address: PlaceAddress, for run: RunFolder, key: String) throws(UsageError) {
        guard case .folder(let path) = address else { return }
        let place = FileTree.realPath(path), own = FileTree.realPath(run.path)
        guard place != own, !place.hasPrefix("\(own)/") else {
            throw UsageError(
                "\(key): \(path) is in the run's own folder \(run.path), and would be lost with it; give another")
        }
    }
}
