import Distillation
import Exchange
import RunFiles

/// What a supervised run is to do.
package struct SupervisedOptions: Sendable {
    /// Its prompts stand for the examples: a checkpoint holds their digest. Held-out prompts are answered by sampling.
    package var plan: RunPlan
    /// Learning rate of the step after so many completed ones.
    package var learningRate: @Sendable (_ completedSteps: UInt64) -> Double
    package var stepGuard = StepGuard()
    /// Counts operations; nil: they are not counted.
    package var costModel: CostModel?
    /// At which the run ends early.
    package var target = RunTarget()
    /// When checkpoints are written, and which are kept.
    package var checkpoints = CheckpointSchedule()
    /// Goes into every checkpoint.
    package var configurationText: String?
    /// Stops the run in time for a last checkpoint; nil: no limit.
    package var timeLimit: TimeLimit?
    /// From when `timeLimit` counts.
    package var startedAt: ContinuousClock.Instant = .now

    package init(plan: RunPlan, learningRate: @escaping @Sendable (UInt64) -> Double) {
        self.plan = plan
        self.learningRate = learningRate
    }
}
