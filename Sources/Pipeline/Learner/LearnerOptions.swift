import Distillation

/// What a learner is to do.
public struct LearnerOptions: Sendable {
    public var plan: RunPlan
    public var exchange: ExchangeOptions
    public var objective: Objective
    public var stepGuard = StepGuard()
    /// Counts operations; nil: they are not counted.
    public var costModel: CostModel?
    /// At which the run ends early.
    public var target = RunTarget()
    /// Judges responses whose prompts have verifiers; nil: none is judged.
    public var judge: ResponseJudge?
    /// Evaluates in this process; nil: workers answer the held-out prompts.
    public var evaluator: HeldoutEvaluator?
    /// Learning rate of the step after so many completed ones.
    public var learningRate: @Sendable (_ completedSteps: UInt64) -> Double
    /// When checkpoints are written, and which are kept.
    public var checkpoints = CheckpointSchedule()
    /// Pass rate of the teachers on the held-out prompts, which goes into every evaluation; nil: not asked for.
    public var teacherPassRate: Double?
    /// Goes into every checkpoint, so that what goes on from it can be compared with what made it; nil: nothing does.
    public var configurationText: String?
    /// Stops the run in time for a last checkpoint; nil: no limit.
    public var timeLimit: TimeLimit?
    /// From when `timeLimit` counts.
    public var startedAt: ContinuousClock.Instant = .now
    /// Responses of a batch that go into the record; held-out ones all do.
    public var recordedSamples = 32
    /// Time without progress after which the learner says what it waits for.
    public var patience: Duration = .seconds(5)
    /// What the learner itself does is told of when it takes longer; a training step, when it takes so much longer than
    /// the longest before.
    public var longStep: Duration = .seconds(25)

    public init(
        plan: RunPlan, exchange: ExchangeOptions, objective: Objective,
        learningRate: @escaping @Sendable (UInt64) -> Double
    ) {
        self.plan = plan
        self.exchange = exchange
        self.objective = objective
        self.learningRate = learningRate
    }
}

/// Where a learner reports what happens. Calls return at once.
public protocol RunRecorder: Sendable {
    /// A line of `metrics.jsonl`.
    func record(_ metrics: StepMetrics)
    /// Responses, after `step` completed steps: the batch of that step, or held-out ones.
    func record(samples: [ScoredTrajectory], step: UInt64)
    /// Trajectories that spoilt a step or were refused, and why; only so many are kept. `step` is the one that they
    /// were for.
    func record(suspects: [ScoredTrajectory], flaw: String, step: UInt64)
    /// How far the next batch is.
    func progress(_ progress: BatchProgress)
    /// What the learner does or waits for outside that; empty: nothing.
    func activity(_ text: String)
}

/// How a learner's run ended.
public struct LearnerOutcome: Sendable, Equatable {
    public enum End: Sendable, Equatable {
        /// Every step is done.
        case completed
        /// The target is reached.
        case reached(String)
        /// Asked to stop; the checkpoint has all completed steps.
        case stopped(String)

        /// Whether it was asked to stop, and can go on.
        public var isStop: Bool { if case .stopped = self { true } else { false } }
    }

    public var end: End
    /// Completed steps.
    public var version: UInt64
    /// The newest checkpoint, nil when there is none.
    public var checkpoint: Checkpoint?
    /// Why the last checkpoint is missing.
    public var checkpointFailure: String?
    /// The evaluations of the first weights and of the last ones that were evaluated.
    public var before: EvaluationRecord?
    public var after: EvaluationRecord?
    public var tokens: TokenCounts
    public var cost: RunCost?
    public var counters: ExchangeCounters
    /// Seconds of this process's part of the run.
    public var seconds: Double

}

/// An evaluation that a run's summary shows.
public struct EvaluationRecord: Sendable, Equatable, Codable {
    public var step: UInt64
    public var metrics: EvaluationMetrics
    /// The response to the first held-out prompt.
    public var exampleIDs: [Int32]

    public init(step: UInt64, metrics: EvaluationMetrics, exampleIDs: [Int32]) {
        self.step = step
        self.metrics = metrics
        self.exampleIDs = exampleIDs
    }
}

/// A learner cannot start or go on.
public struct LearnerError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable { case invalidCheckpoint, changedRun, badStep, transport }
    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
