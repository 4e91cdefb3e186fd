import Distillation
import Exchange
import RunFiles
import Wording

/// What a learner is to do.
package struct LearnerOptions: Sendable {
    package var plan: RunPlan
    package var exchange: ExchangeOptions
    package var objective: Objective
    package var stepGuard = StepGuard()
    /// Counts operations; nil: they are not counted.
    package var costModel: CostModel?
    /// At which the run ends early.
    package var target = RunTarget()
    /// Judges responses whose prompts have verifiers; nil: none is judged.
    package var judge: ResponseJudge?
    /// Evaluates in this process; nil: workers answer the held-out prompts.
    package var evaluator: HeldoutEvaluator?
    /// Learning rate of the step after so many completed ones.
    package var learningRate: @Sendable (_ completedSteps: UInt64) -> Double
    /// When checkpoints are written, and which are kept.
    package var checkpoints = CheckpointSchedule()
    /// Pass rate of the teachers on the held-out prompts, which goes into every evaluation; nil: not asked for.
    package var teacherPassRate: Double?
    /// Goes into every checkpoint, so that what goes on from it can be compared with what made it; nil: nothing does.
    package var configurationText: String?
    /// Stops the run in time for a last checkpoint; nil: no limit.
    package var timeLimit: TimeLimit?
    /// From when `timeLimit` counts.
    package var startedAt: ContinuousClock.Instant = .now
    /// Responses of a batch that go into the record; held-out ones all do.
    package var recordedSamples = 32
    /// Time without progress after which the learner says what it waits for.
    package var patience: Duration = .seconds(5)
    /// What the learner itself does is told of when it takes longer; a training step, when it takes so much longer than
    /// the longest before.
    package var longStep: Duration = .seconds(25)

    package init(
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
    /// What the learner does or waits for outside that; empty: nothing.
    func activity(_ text: String)
}

/// How a learner's run ended.
package struct LearnerOutcome: Sendable, Equatable {
    package enum End: Sendable, Equatable {
        /// Every step is done.
        case completed
        /// The target is reached.
        case reached(String)
        /// Asked to stop; the checkpoint has all completed steps.
        case stopped(String)

        /// Whether it was asked to stop, and can go on.
        package var isStop: Bool { if case .stopped = self { true } else { false } }
    }

    package var end: End
    /// Completed steps.
    package var version: UInt64
    /// The newest checkpoint, nil when there is none.
    package var checkpoint: Checkpoint?
    /// Why the last checkpoint is missing.
    package var checkpointFailure: String?
    /// The evaluations of the first weights and of the last ones that were evaluated.
    package var before: EvaluationRecord?
    package var after: EvaluationRecord?
    package var tokens: TokenCounts
    package var cost: RunCost?
    package var counters: ExchangeCounters
    /// Seconds of this process's part of the run.
    package var seconds: Double

}

/// An evaluation that a run's summary shows.
package struct EvaluationRecord: Sendable, Equatable, Codable {
    package var step: UInt64
    package var metrics: EvaluationMetrics
    /// The response to the first held-out prompt.
    package var exampleIDs: [Int32]

    package init(step: UInt64, metrics: EvaluationMetrics, exampleIDs: [Int32]) {
        self.step = step
        self.metrics = metrics
        self.exampleIDs = exampleIDs
    }
}

/// A learner cannot start or go on.
package struct LearnerError: MessageError, Equatable {
    package enum Code: Sendable { case invalidCheckpoint, changedRun, badStep, transport }
    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
