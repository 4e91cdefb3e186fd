/// Times and limits of supervision.
package struct SupervisorOptions: Sendable, Equatable {
    /// Wait before the first restart; doubled with every death in a row.
    package var firstBackoff = Duration.milliseconds(500)
    /// The longest wait before a restart.
    package var longestBackoff = Duration.seconds(30)
    /// A process that lived this long had a sound start: its deaths are counted from 1 again.
    package var stableAfter = Duration.seconds(60)
    /// Deaths in a row after which the run is given up.
    package var deathsAllowed = 8
    /// How long the learner may take to say where it listens.
    package var endpointTimeout = Duration.seconds(60)
    /// How long members may take to end by themselves when the learner is done, and again after a SIGTERM.
    package var grace = Duration.seconds(5)
    /// How long the learner may take to write its checkpoint when the run fails elsewhere.
    package var learnerGrace = Duration.seconds(120)
    /// A signal to stop that follows another sooner than this is the same one: `timeout` sends it to the process and
    /// to its group.
    package var repeatedSignal = Duration.seconds(1)

    package init() {}

    /// Wait before the restart that follows the death with this number, counted from 1.
    package func backoff(death: Int) -> Duration {
        var wait = firstBackoff
        for _ in 1..<max(1, death) where wait < longestBackoff { wait = wait * 2 }
        return min(wait, longestBackoff)
    }
}
