import Distillation
import Exchange
import RunFiles

/// What every run is told, whoever makes its batches.
package struct RunOptions: Sendable {
    /// The prompts, shapes and bounds of the run. In a supervised run the prompts stand for the examples: a checkpoint
    /// holds their digest.
    package var plan: RunPlan
    /// The learning rate of the step after so many completed ones.
    package var learningRate: @Sendable (_ completedSteps: UInt64) -> Double
    package var stepGuard = StepGuard()
    /// What counts operations; nil: they are not counted.
    package var costModel: CostModel?
    /// The evaluation at which the run ends early.
    package var target = RunTarget()
    /// When checkpoints are written, and which are kept.
    package var checkpoints = CheckpointSchedule()
    /// Takes checkpoints to a second place; nil: nothing does.
    package var copies: (any CheckpointCopying)?
    /// The configuration, which goes into every checkpoint, so that what goes on from it can be compared with it.
    package var configurationText = ""
    /// What stops the run in time for a last checkpoint; nil: nothing does.
    package var timeLimit: TimeLimit?
    /// The moment from which `timeLimit` counts.
    package var startedAt: ContinuousClock.Instant = .now
    /// Whether members stay when this learner is stopped, for one that takes its place.
    package var handsOver = false
    /// Returns while the run is this process's; nil: nobody else can have it.
    package var confirm: (@Sendable () async -> Void)?

    package init(plan: RunPlan, learningRate: @escaping @Sendable (UInt64) -> Double) {
        self.plan = plan
        self.learningRate = learningRate
    }
}
