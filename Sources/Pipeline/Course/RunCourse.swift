import Distillation
import Engines
import Exchange
import RunFiles
import Wording

/// What every run decides alike, whoever makes its batches: how far it is, what becomes of a bad step, which
/// evaluations it had, when it stops, and how it ended.
///
/// The one who trains tells it what happened, in this order in every step: ``completeStep(tokens:)`` or
/// ``giveUpStep(_:)`` and ``skipStep(tokens:)``, then ``endLine(training:skipped:timing:)``, then
/// ``recordLine(_:exampleIDs:timing:)``. A checkpoint may be taken between any two steps, even while the line of the
/// last one waits for its evaluation.
package struct RunCourse: Sendable {
    private let options: RunOptions
    /// The completed steps, skipped ones included, which is the version of the weights.
    package private(set) var version: UInt64
    /// The books when the last step ended, which a checkpoint keeps: later tokens are sampled again.
    package private(set) var tokens: TokenCounts
    /// The line of the last step, until it is recorded with its evaluation.
    package private(set) var pending: StepMetrics?
    package private(set) var before: EvaluationRecord?
    package private(set) var after: EvaluationRecord?
    /// What of its target the run has reached.
    private(set) var reached: String?
    /// Why the run is to stop; nil: it is not.
    private(set) var stopReason: String?
    /// Whether the present weights are to blame for bad steps: then older checkpoints stay.
    package private(set) var suspectsWeights = false
    /// The steps skipped since the last that was trained.
    private var badSteps = 0
    private var cost = RunCost()
    /// What passes cost; nil: operations are not counted.
    private var costModel: CostModel?
    /// Teachers with passes whose operations are not counted, since nobody has told what they cost.
    package private(set) var uncountedTeachers: Set<String> = []
    private var timeLimit: TimeLimit?

    /// - Parameter resuming: the state of the checkpoint to go on from; nil begins the run.
    package init(_ options: RunOptions, resuming: CheckpointState?) {
        self.options = options
        timeLimit = options.timeLimit
        costModel = options.costModel
        version = resuming?.step ?? 0
        // What was in flight when the checkpoint was written is given up.
        tokens = Ledger(restoring: resuming?.tokens ?? TokenCounts()).counts
        guard let resuming else {
            if options.plan.evaluates(version: 0) {
                pending = StepMetrics(step: 0, version: 0, training: nil, tokens: tokens)
            }
            return
        }
        pending = resuming.pending
        badSteps = resuming.badSteps ?? 0
        before = resuming.before
        after = resuming.after
        cost = resuming.cost ?? RunCost()
        uncountedTeachers = Set(resuming.uncountedTeachers ?? [])
        reached = after.flatMap { options.target.reached(by: $0.metrics) }
    }

    /// The operations so far, where they are counted.
    package var countedCost: RunCost? { options.costModel == nil ? nil : cost }

    /// The learning rate of the next step.
    package var learningRate: Double { options.learningRate(version) }

    /// Whether the present weights are to be evaluated.
    package var evaluatesNow: Bool { options.plan.evaluates(version: version) }

    package var isDone: Bool { version >= options.plan.steps }

    // MARK: Steps

    /// Why a batch must not be trained; nil: it may be.
    package func flaw(in batch: [ScoredTrajectory]) -> StepFlaw? { options.stepGuard.flaw(in: batch) }

    /// Why an update was not made; nil: it was.
    /// - Parameter batch: what it was computed from, where the run's record can show that.
    package func flaw(of result: StepResult, batch: [ScoredTrajectory]) -> StepFlaw? {
        guard !result.applied else { return nil }
        return StepGuard.flaw(loss: result.statistics.loss, gradNorm: result.gradNorm, batch: batch)
            ?? StepFlaw(
                .notFinite, "the gradient's norm is \(result.gradNorm), too large for the optimizer", batch)
    }

    /// The next step was trained.
    /// - Parameter tokens: the books as they stand now.
    package mutating func completeStep(tokens: TokenCounts) {
        badSteps = 0
        suspectsWeights = false
        version += 1
        self.tokens = tokens
    }

    /// The next step cannot be trained.
    /// - Returns: the warning to give, when the run goes on without it.
    /// - Throws: `badStep` when the run is to end instead.
    package mutating func giveUpStep(_ flaw: StepFlaw) throws(LearnerError) -> String {
        badSteps += 1
        if flaw.blamesWeights { suspectsWeights = true }
        let isShown = !flaw.offenders.isEmpty
        guard options.stepGuard.ends(inARow: badSteps) else {
            return "step \(version + 1) is skipped: \(flaw.text)"
                + (isShown ? "; see suspects.jsonl in the run folder" : "")
        }
        let count = badSteps > 1 ? ", the last of \(badSteps) bad steps in a row" : ""
        throw LearnerError(
            .badStep,
            "step \(version + 1)\(count): \(flaw.text); it was not trained"
                + (isShown ? ", and suspects.jsonl in the run folder has what it is about" : "")
                + "; go on with --resume and another training.on_bad_step, or as another run with --from and a lower "
                + "training.learning_rate")
    }

    /// The next step was given up, and the weights stayed as they were.
    /// - Parameter tokens: the books as they stand now.
    package mutating func skipStep(tokens: TokenCounts) {
        version += 1
        self.tokens = tokens
    }

    /// Adds what a batch of rollouts cost.
    /// - Parameters:
    ///   - isTrained: false for one that was given up.
    ///   - teacherCost: what a forward pass costs a teacher that the cost model lacks; nil: not known.
    package mutating func addCost(
        of batch: [ScoredTrajectory], isTrained: Bool, teacherCost: (_ teacher: String) -> PassCost? = { _ in nil }
    ) {
        guard var model = costModel else { return }
        for teacher in model.unknownTeachers(of: batch) {
            if let cost = teacherCost(teacher) {
                model.add(teacher: teacher, cost)
            } else {
                uncountedTeachers.insert(teacher)
            }
        }
        model.add(batch, isTrained: isTrained, to: &cost)
        costModel = model
    }

    /// Adds what it cost to train a batch of given responses.
    package mutating func addCost(of examples: [SupervisedExample]) { costModel?.add(examples, to: &cost) }

    // MARK: Lines and evaluations

    /// The last step's line is complete but for the evaluation.
    /// - Parameters:
    ///   - training: nil for a step that was skipped.
    ///   - skipped: why it was.
    package mutating func endLine(training: TrainingMetrics?, skipped: String?, timing: TimingMetrics = TimingMetrics())
    {
        pending = StepMetrics(
            step: version, version: version, training: training, tokens: tokens, cost: countedCost, skipped: skipped,
            timing: timing)
    }

    /// The line that waits, with its evaluation, is to be recorded now; nil when none waits.
    /// - Parameters:
    ///   - evaluation: of the weights of this line; nil: none was due, or no response could be used.
    ///   - exampleIDs: the response to the first held-out prompt.
    ///   - timing: replaces the line's own.
    package mutating func recordLine(
        _ evaluation: EvaluationMetrics?, exampleIDs: [Int32] = [], timing: TimingMetrics? = nil
    ) -> StepMetrics? {
        guard var line = pending else { return nil }
        pending = nil
        if let timing { line.timing = timing }
        guard let evaluation else { return line }
        line.evaluation = evaluation
        reached = options.target.reached(by: evaluation)
        let record = EvaluationRecord(step: line.step, metrics: evaluation, exampleIDs: exampleIDs)
        if line.step == 0 { before = record }
        after = record
        return line
    }

    // MARK: Checkpoints

    package var isCheckpointDue: Bool { options.checkpoints.isDue(step: version) }

    /// What a checkpoint of the present weights holds.
    package func checkpointState(tokenizerFingerprint: String) -> CheckpointState {
        CheckpointState(
            step: version, plan: options.plan, tokenizerFingerprint: tokenizerFingerprint, tokens: tokens,
            pending: pending, badSteps: badSteps, before: before, after: after, cost: countedCost,
            uncountedTeachers: uncountedTeachers)
    }

    // MARK: The end

    /// Whether another step is to be trained: nothing has ended the run yet.
    package var goesOn: Bool { stopReason == nil && reached == nil && !isDone }

    /// The run is to end after the step that is being trained; the first reason counts.
    package mutating func stop(_ reason: String) { stopReason = stopReason ?? reason }

    /// A step was trained in this time.
    package mutating func trained(in time: Duration) { timeLimit?.trained(in: time) }

    /// Stops the run when there is just time enough left for a last checkpoint.
    /// - Parameters:
    ///   - elapsed: the time since the start of the process.
    ///   - longestSave: what the longest checkpoint took; nil before the first.
    /// - Returns: what to say, when it is stopped now.
    package mutating func stopInTime(elapsed: Duration, longestSave: Duration?) -> String? {
        if let longestSave { timeLimit?.saved(in: longestSave) }
        guard let timeLimit, elapsed >= timeLimit.stopAt, stopReason == nil else { return nil }
        stop("stopped by its time limit")
        return "stopping in time for a checkpoint before the time limit of \(timeLimit.limit.shortSeconds) s"
    }

    /// How the run has ended. What was reached and recorded counts more than a stop that came in the same step.
    package var end: LearnerOutcome.End {
        if pending == nil {
            if let reached { return .reached(reached) }
            if isDone { return .completed }
        }
        return .stopped(stopReason ?? "stopped")
    }
}
