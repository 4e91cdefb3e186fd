import Distillation
import Exchange

/// What a learner with members is told.
package struct LearnerOptions: Sendable {
    package var run: RunOptions
    package var exchange: ExchangeOptions
    package var objective: Objective
    /// What the cross-entropy of the responses given with a step's prompts counts in its loss; 0: they are not looked at.
    package var givenCoefficient = 0.0
    /// What judges responses whose prompts have verifiers; nil: none is judged.
    package var judge: ResponseJudge?
    /// What evaluates in this process; nil: workers answer the held-out prompts.
    package var evaluator: HeldoutEvaluator?
    /// The pass rate of the teachers on the held-out prompts, which goes into every evaluation; nil: not asked for.
    package var teacherPassRate: Double?
    /// How many responses of a batch go into the record; held-out ones all do.
    package var recordedSamples = 32
    /// The time without progress after which the learner says what it waits for.
    package var patience: Duration = .seconds(5)
    /// What the learner itself does is told of when it takes longer; a training step, when it takes so much longer than
    /// the longest before.
    package var longStep: Duration = .seconds(25)

    package init(run: RunOptions, exchange: ExchangeOptions, objective: Objective) {
        self.run = run
        self.exchange = exchange
        self.objective = objective
    }

    var plan: RunPlan { run.plan }
}
