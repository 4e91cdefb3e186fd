import Supervision
import Wording

/// Which processes wait before they are started again, so that one that dies at once does not keep its machine busy.
package struct RestartWaits: Sendable {
    private struct Wait { var deaths = 0, started = Duration.zero, until = Duration.zero }

    private var waits: [String: Wait] = [:]
    private let options = SupervisorOptions()

    package init() {}

    /// Processes that are not started at `now`.
    package func waiting(at now: Duration) -> Set<String> { Set(waits.filter { $0.value.until > now }.keys) }

    /// Takes in that these were started: each start after the first doubles the wait before the next, unless the process
    /// lived long enough to count as sound.
    package mutating func started(_ names: [String], at now: Duration) {
        for name in names {
            var wait = waits[name] ?? Wait()
            wait.deaths = wait.deaths > 0 && now - wait.started >= options.stableAfter ? 1 : wait.deaths + 1
            wait.started = now
            wait.until = now + options.backoff(death: wait.deaths)
            waits[name] = wait
        }
    }
}

extension Placement {
    /// Makes a request again and again, so that what dies or comes back is started, until the run has come to its end, or
    /// its learner has ended otherwise, or the task is cancelled. Everything runs on then.
    /// - Returns: why it ended before the run's end; nil: it did not.
    package func watch(_ request: UpRequest, every period: Duration = .seconds(5)) async throws -> String? {
        var waits = RestartWaits()
        var told: Set<String> = []
        let clock = ContinuousClock()
        let origin = clock.now
        var request = request
        request.resumes = false
        while !Task.isCancelled {
            do { try await clock.sleep(for: period) } catch { break }
            let now = clock.now - origin
            let outcome: UpOutcome
            do {
                outcome = try await up(request, waiting: waits.waiting(at: now), watches: true)
            } catch is PlacementBusy {
                // An 'opd down', say: the next look tells what has come of it.
                continue
            }
            if let end = outcome.learnerEnd { return end }
            waits.started(outcome.started, at: now)
            let failures = Set(outcome.failures)
            for failure in outcome.failures where !told.contains(failure) { say("warning: \(failure)") }
            told = failures
            if outcome.isDone { return nil }
        }
        return nil
    }
}
