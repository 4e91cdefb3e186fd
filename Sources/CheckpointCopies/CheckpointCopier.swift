import Dispatch
import Foundation
import Locking
import Logging
import RunFiles

/// Copies a run's checkpoints to a place, on a thread of its own: the run waits for it only as it ends.
///
/// What it does next is decided by ``CopyQueue``, what it removes by ``PlacedCopies``; this does it.
package final class CheckpointCopier: CheckpointCopying {
    private struct State {
        var queue = CopyQueue()
        /// Steps that this process has copied.
        var copied: Set<Int> = []
        var isEnding = false
        /// No more is begun.
        var isStopped = false
    }

    private let place: any CopyPlace
    private let run: RunFolder
    private let store: CheckpointStore
    /// The step that this process began with; nil: its run had no checkpoint.
    private let first: Int?
    private let schedule: CheckpointSchedule
    private let logger: Logger
    private let state = Locked(State())
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let begun = ContinuousClock.now

    /// Begins with the newest checkpoint that the run has.
    /// - Parameters:
    ///   - place: the run's own, see ``CopyOwner``.
    ///   - newest: step of the newest whole copy there; nil: there is none.
    ///   - schedule: which copies are kept.
    package init(
        to place: any CopyPlace, newest: Int?, of run: RunFolder, keeping schedule: CheckpointSchedule, logger: Logger
    ) {
        self.place = place
        self.run = run
        self.schedule = schedule
        self.logger = logger
        store = CheckpointStore(folder: run.checkpoints)
        first = store.latest()?.step
        state.withLock { state in
            if let newest { state.queue.found(step: newest, at: .zero) }
            if let first { _ = state.queue.saved(step: first) }
        }
        let thread = Thread { self.work() }
        thread.name = "opd-copies"
        thread.start()
    }

    private var now: Duration { ContinuousClock.now - begun }

    package func saved(_ checkpoint: Checkpoint) {
        tell(state.withLock { $0.queue.saved(step: checkpoint.step) })
        wake.signal()
    }

    package var report: CopyReport {
        let now = now, queue = state.withLock { $0.queue }
        let age = queue.newest.map { now - $0.at }
        var parts = ["none is at \(place.name) yet"]
        if let newest = queue.newest {
            parts = ["step \(newest.step) is at \(place.name), for \(Self.text(now - newest.at))"]
        }
        if let step = queue.current { parts.append("step \(step) is on its way") }
        if let reason = queue.reason { parts.append("failing (\(queue.failures) in a row): \(reason)") }
        return CopyReport(
            step: queue.newest?.step, age: age.map { Double($0.components.seconds) },
            text: parts.joined(separator: "; "))
    }

    /// Waits until the newest checkpoint is there, and ends.
    /// - Parameter seconds: the longest wait; what is not there by then stays here alone.
    package func finish(within seconds: Int) {
        let waits = state.withLock { state in
            state.isEnding = true
            return state.queue.wanted ?? state.queue.current
        }
        wake.signal()
        if let waits {
            logger.notice("waiting up to \(seconds) s until the checkpoint of step \(waits) is at \(place.name)")
        }
        guard ended.wait(timeout: .now() + .seconds(seconds)) == .timedOut else { return }
        let queue = state.withLock { state in
            state.isStopped = true
            return state.queue
        }
        wake.signal()
        place.stop()
        // What it was at is left in order by the next start.
        let why = queue.reason.map { ": \($0)" } ?? ""
        let step = (queue.wanted ?? queue.current).map { " of step \($0)" } ?? ""
        logger.warning(
            "\(place.name): the checkpoint\(step) is not there after \(seconds) s\(why); it is copied when the run goes on"
        )
    }

    // MARK: The thread

    private func work() {
        defer { ended.signal() }
        while true {
            let now = now
            let (next, isEnding, isStopped) = state.withLock { state in
                (state.queue.next(at: now, isHurried: state.isEnding), state.isEnding, state.isStopped)
            }
            if isStopped { return }
            switch next {
            case .rest:
                if isEnding { return }
                wake.wait()
            case .wait(let moment):
                let wait = Int((moment - now) / .milliseconds(1)) + 1
                _ = wake.wait(timeout: .now() + .milliseconds(wait))
            case .copy(let step):
                state.withLock { $0.queue.begin() }
                copy(step)
            }
        }
    }

    private func copy(_ step: Int) {
        do {
            let name = Checkpoint.name(step: step)
            guard let checkpoint = store.list().first(where: { $0.step == step }) else {
                return state.withLock { $0.queue.drop() }
            }
            // Another may have taken the place meanwhile, or a disk be mounted there now that was not.
            try CopyOwner.claim(place, for: run)
            let staged = try StagedCopy(checkpoint, of: run)
            defer { withExtendedLifetime(staged) {} }
            let copied = state.withLock { $0.copied }, there = try place.list()
            let same = try there.inOrder(latest: nil).filter { $0.step == step }.map(\.name).filter {
                try place.manifest(of: $0)?.hasSameCheckpoint(as: staged.manifest) == true
            }
            var left = there.left(begunAt: first, copied: copied)
            // A whole copy of this step is the run's own where it has the same checkpoint, or this process has made it. Else
            // it is of a branch that was left, even where the run has begun with this step.
            if !same.isEmpty {
                left.remove(step)
            } else if !copied.contains(step), there.has(step) {
                left.insert(step)
            }
            let latest = there.latest(until: step, left: left)
            if let latest { try LatestCopy.write(step: latest, to: place) }
            // One that was there before this process may have been damaged since, whatever its list says.
            if !copied.contains(step) || !same.contains(name) {
                try place.put(staged.folder, as: name, staged.manifest)
                state.withLock { _ = $0.copied.insert(step) }
                logger.info("copied \(checkpoint.path) to \(place.name)")
            }
            if latest != step { try LatestCopy.write(step: step, to: place) }
            let now = now
            tell(state.withLock { $0.queue.finish(at: now) })
            prune(newest: step, left: left)
        } catch {
            // The run may have removed it for a newer one, which is then the one to copy.
            if !store.list().contains(where: { $0.step == step }) { return state.withLock { $0.queue.drop() } }
            let now = now
            tell(state.withLock { $0.queue.fail("\(error)", at: now) })
        }
    }

    private func prune(newest: Int, left: Set<Int>) {
        do {
            for name in try place.list().removals(newest: newest, left: left, schedule) { try place.remove(name) }
        } catch {
            logger.warning("an old copy was not removed: \(error)")
        }
    }

    // MARK: Words

    private func tell(_ notes: [CopyQueue.Note]) {
        for note in notes {
            switch note {
            case .skipped(let step, let newer):
                logger.notice(
                    "\(place.name): the checkpoint of step \(step) is not copied: that of step \(newer) came before its turn"
                )
            case .failing(let step, let reason):
                logger.warning(
                    "the checkpoint of step \(step) was not copied: \(reason); it is tried again, and the run goes on")
            case .recovered(let step, let failures):
                logger.notice("\(place.name): step \(step) is there, after \(failures) failures")
            }
        }
    }

    private static func text(_ duration: Duration) -> String {
        let seconds = duration.components.seconds
        return seconds < 120 ? "\(seconds) s" : "\(seconds / 60) min"
    }
}
