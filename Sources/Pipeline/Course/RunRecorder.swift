import Distillation
import Exchange
import Wire

/// Where a learner reports what happens. Calls return at once.
package protocol RunRecorder: Sendable {
    /// A line of `metrics.jsonl`.
    func record(_ metrics: StepMetrics)
    /// Responses, after `step` completed steps: the batch of that step, or held-out ones.
    func record(samples: [ScoredTrajectory], step: UInt64)
    /// Trajectories that spoilt a step or were refused, and why; only so many are kept. `step` is the one that they
    /// were for.
    func record(suspects: [ScoredTrajectory], flaw: String, step: UInt64)
    /// How far the next batch is.
    func progress(_ progress: BatchProgress)
    /// What the learner does or waits for outside that; nil: nothing.
    func activity(_ text: String?)
    /// What a process did with its time, in microseconds since `origin`, which is in microseconds of Unix time, after
    /// `step` completed steps.
    func record(spans: MemberSpans, since origin: UInt64, step: UInt64)
    /// How the run is, every few seconds; who has no use for it does not ask.
    func record(status: () -> Status)
}

extension RunRecorder {
    package func record(spans: MemberSpans, since origin: UInt64, step: UInt64) {
        // Who keeps metrics alone has no use for them.
    }

    package func record(status: () -> Status) {}
}
