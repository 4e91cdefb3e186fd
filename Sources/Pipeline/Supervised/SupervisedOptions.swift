import Distillation

/// What a supervised run is to do.
public struct SupervisedOptions: Sendable {
    /// Its prompts stand for the examples: a checkpoint holds their digest. Held-out prompts are answered by sampling.
    public var plan: RunPlan
    /// Learning rate of the step after so many completed ones.
    public var learningRate: @Sendable (_ completedSteps: UInt64) -> Double
    public var stepGuard = StepGuard()
    /// Counts operations; nil: they are not counted.
    public var costModel: CostModel?
    /// At which the run ends early.
    public var target = RunTarget()
    /// When checkpoints are written, and which are kept.
    public var checkpoints = CheckpointSchedule()
    /// Goes into every checkpoint.
    public var configurationText: String?
    /// Stops the run in time for a last checkpoint; nil: no limit.
    public var timeLimit: TimeLimit?
    /// From when `timeLimit` counts.
    public var startedAt: ContinuousClock.Instant = .now

    public init(plan: RunPlan, learningRate: @escaping @Sendable (UInt64) -> Double) {
        self.plan = plan
        self.learningRate = learningRate
    }
}
