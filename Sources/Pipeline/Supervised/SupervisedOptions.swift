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
    /// Steps between checkpoints; 0: only at the end and when stopped.
    public var checkpointEvery: UInt64 = 0
    /// Newest checkpoints that are kept.
    public var keepLast = 3
    /// Steps between checkpoints that are kept for ever, beside the newest; 0: none.
    public var keepEvery: UInt64 = 0
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

    /// Whether a checkpoint is due after so many completed steps.
    func savesCheckpoint(step: UInt64) -> Bool {
        step > 0 && [checkpointEvery, keepEvery].contains { $0 > 0 && step % $0 == 0 }
    }
}
