import Dispatch
import Foundation
import Locking
import Logging
import Pipeline
import RunFiles
import Wording

/// Keeps a learner's term: gives signs of life on a thread of its own, and ends the process when the run is another's.
///
/// A second thread looks at the age of the last sign, for the first may hang in a file system that has gone.
final class TermKeeper: Sendable {
    private struct State {
        var clock: TermClock
        var isEnding = false
        var hasComplained = false
        /// Which of the two threads says so does not matter, but only one does.
        var isLost = false
        /// The lock that learners without terms look at. One that is suspended may hold it still.
        var lock: RunFolderLock?
    }

    /// How long a term is renewed late before the process ends: it may only just have woken up.
    private static let grace: Duration = .seconds(1)

    let term: HeldTerm
    private let run: RunFolder
    private let times: TermTimes
    private let state: Locked<State>
    private let wake = DispatchSemaphore(value: 0)
    private let stopped = DispatchSemaphore(value: 0)
    private let origin = ContinuousClock.now
    private let lost: @Sendable (_ reason: String) -> Void
    private let logger: Logger

    /// - Parameter lost: ends the process at once. It must not return before that: whatever goes on is not the run any
    ///   more.
    init(_ term: HeldTerm, of run: RunFolder, logger: Logger, lost: @escaping @Sendable (_ reason: String) -> Void) {
        self.term = term
        self.run = run
        self.lost = lost
        self.logger = logger
        times = TermTimes(after: term.after)
        state = Locked(State(clock: TermClock(times, begunAt: .zero)))
        start("opd-term") { $0.renewAgainAndAgain() }
        start("opd-term-age") { $0.watchAge() }
    }

    private func start(_ name: String, _ work: @escaping @Sendable (TermKeeper) -> Void) {
        let thread = Thread { work(self) }
        thread.name = name
        thread.start()
    }

    private func lose(_ reason: String) {
        let isFirst = state.withLock { state in
            defer { state.isLost = true }
            return !state.isLost
        }
        if isFirst { lost(reason) }
    }

    private var now: Duration { ContinuousClock.now - origin }
    private var isOver: Bool { state.withLock { $0.clock.isOver(at: now) } }

    /// Returns while the term holds: at once, or when it has been renewed.
    func confirm() async {
        while isOver {
            wake.signal()
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Ends the term, and with it this.
    func end(as ending: TermRecord.State, reason: String) {
        stop()
        let (term, logger, ended) = (term, logger, DispatchSemaphore(value: 0))
        start("opd-term-end") { _ in
            do { try term.end(as: ending, reason: reason) } catch {
                logger.warning("the end of term \(term.number) could not be recorded: \(error)")
            }
            ended.signal()
        }
        // Neither is a file system that has gone here.
        _ = ended.wait(timeout: .now() + .milliseconds(times.after.milliseconds))
    }

    /// Ends the term of a learner that has failed: another goes on, unless the run itself is bad.
    /// - Parameter hasBegun: whether there is anything to go on with; else the folder is left as if it had never had a term.
    func fail(_ error: any Error, hasBegun: Bool) {
        guard !state.withLock({ $0.isEnding }) else { return }
        guard hasBegun else {
            stop()
            return term.withdraw()
        }
        end(as: (error as? LearnerError)?.code == .badStep ? .failed : .handedOver, reason: "\(error)")
    }

    private func stop() {
        state.withLock { $0.isEnding = true }
        wake.signal()
        // A file system that has gone is no reason never to end.
        _ = stopped.wait(timeout: .now() + .milliseconds(times.after.milliseconds))
    }

    // MARK: The threads

    private func renewAgainAndAgain() {
        defer { stopped.signal() }
        while !state.withLock({ $0.isEnding }) {
            let begunAt = now
            do {
                try term.renew()
                let needsLock = state.withLock { state in
                    state.clock.renewed(begunAt: begunAt)
                    state.hasComplained = false
                    return state.lock == nil
                }
                if needsLock, let lock = try? run.lock() { state.withLock { $0.lock = lock } }
            } catch let error as TermLostError {
                return lose(error.message)
            } catch {
                let isFirst = state.withLock { state in
                    defer { state.hasComplained = true }
                    return !state.hasComplained
                }
                if isFirst {
                    logger.warning(
                        "\(error); this learner ends when it cannot say that it lives for \(times.deadline.shortSeconds) s"
                    )
                }
            }
            _ = wake.wait(timeout: .now() + .milliseconds(times.renewal.milliseconds))
        }
    }

    private func watchAge() {
        let nap = DispatchTimeInterval.milliseconds(max(50, times.deadline.milliseconds / 10))
        let never = DispatchSemaphore(value: 0)
        while !state.withLock({ $0.isEnding }) {
            _ = never.wait(timeout: .now() + nap)
            guard isOver else { continue }
            // A process that was suspended is the run's still when nobody took it over meanwhile.
            wake.signal()
            _ = never.wait(timeout: .now() + .milliseconds(Self.grace.milliseconds))
            guard isOver, !state.withLock({ $0.isEnding }) else { continue }
            let age = state.withLock { $0.clock.age(at: now) }
            return lose(
                "\(run.path): this learner could not say for \(age.components.seconds) s that it lives, and another may "
                    + "have taken the run over; it ends and records nothing more")
        }
    }
}
