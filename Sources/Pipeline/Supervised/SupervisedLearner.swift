import Distillation
import Engines
import Exchange
import Logging
import RunFiles
import Wire
import Wording

/// Trains a model to imitate given responses: supervised fine-tuning, and pre-training from scratch.
///
/// There is nobody to share work with, so this is a plain loop over the same backend, checkpoints and records as a
/// learner's. A step is a function of the weights, the optimizer and the step's number: a run that was stopped and goes
/// on from a checkpoint gives the same bits as one that was not.
package actor SupervisedLearner {
    private let options: SupervisedOptions
    private let backend: any SupervisedBackend
    private var source: any ExampleSource
    private let evaluator: HeldoutEvaluator?
    private let checkpoints: CheckpointStore?
    private let saver: CheckpointSaver?
    private let recorder: any RunRecorder
    private let logger: Logger
    private let origin: ContinuousClock.Instant = .now

    private var resuming: Checkpoint?
    private var version: UInt64
    private var tokens: TokenCounts
    private var badSteps: Int
    private var before: EvaluationRecord?
    private var after: EvaluationRecord?
    private var cost: RunCost
    private var reached: String?
    private var timeLimit: TimeLimit?
    private var stopReason: String?

    /// - Parameters:
    ///   - evaluator: nil: no evaluation.
    ///   - checkpoints: nil keeps none.
    ///   - resuming: the checkpoint to go on from, with its state.
    package init(
        options: SupervisedOptions, backend: any SupervisedBackend, source: any ExampleSource,
        evaluator: HeldoutEvaluator?, checkpoints: CheckpointStore?,
        resuming: (checkpoint: Checkpoint, state: CheckpointState)? = nil, recorder: any RunRecorder, logger: Logger
    ) {
        self.options = options
        self.backend = backend
        self.source = source
        self.evaluator = evaluator
        self.checkpoints = checkpoints
        saver = checkpoints.map {
            CheckpointSaver(
                $0, options.checkpoints, configurationText: options.configurationText, saved: resuming?.state,
                logger: logger)
        }
        self.recorder = recorder
        self.logger = logger
        self.resuming = resuming?.checkpoint
        version = resuming?.state.step ?? 0
        tokens = resuming?.state.tokens ?? TokenCounts()
        badSteps = resuming?.state.badSteps ?? 0
        before = resuming?.state.before
        after = resuming?.state.after
        cost = resuming?.state.cost ?? RunCost()
        reached = after.flatMap { options.target.reached(by: $0.metrics) }
        timeLimit = options.timeLimit
    }

    /// Operations so far, where they are counted.
    private var counted: RunCost? { options.costModel == nil ? nil : cost }

    private var now: Duration { origin.duration(to: .now) }

    /// Ends the run after the step that is being trained, with a checkpoint.
    package func stop(_ reason: String) { stopReason = stopReason ?? reason }

    /// Runs to the last step, or until stopped.
    package func run() async throws -> LearnerOutcome {
        do {
            try await train()
        } catch {
            // A bad step has left the weights as they were.
            if (error as? LearnerError)?.code == .badStep { await save() }
            await saver?.finish()
            throw error
        }
        await save()
        await saver?.finish()
        let end: LearnerOutcome.End =
            if let reached { .reached(reached) } else if version < options.plan.steps {
                .stopped(stopReason ?? "stopped")
            } else { .completed }
        return LearnerOutcome(
            end: end, version: version, checkpoint: checkpoints?.latest(), checkpointFailure: await saver?.failure,
            before: before, after: after, tokens: tokens, cost: counted, counters: ExchangeCounters(),
            seconds: now.seconds)
    }

    private func train() async throws {
        if let resuming {
            recorder.activity("reading \(resuming.path)")
            try await backend.restore(from: resuming.path)
            recorder.activity("")
        } else if options.plan.evaluates(version: 0) {
            let begun = now
            let evaluation = try await evaluate()
            let timing = TimingMetrics(
                waitEvaluationSeconds: (now - begun).seconds, stepSeconds: (now - begun).seconds)
            recorder.record(
                StepMetrics(
                    step: 0, version: 0, training: nil, tokens: tokens, cost: counted, evaluation: evaluation,
                    timing: timing))
        }
        while version < options.plan.steps, stopReason == nil, reached == nil {
            try await step()
            if options.checkpoints.isDue(step: version) { await save() }
            stopInTime()
        }
    }

    private func step() async throws {
        let begun = now
        let examples = try source.batch(step: version)
        let count = examples.reduce(0) { $0 + $1.responseIDs.count }
        let learningRate = options.learningRate(version)
        let result = try await backend.step(examples, learningRate: learningRate, version: version)
        let trained = now
        timeLimit?.trained(in: trained - begun)
        var skipped: String?
        if !result.applied { skipped = try skip(loss: result.statistics.loss, gradNorm: result.gradNorm) }
        version += 1
        tokens.generated += UInt64(count)
        if skipped == nil {
            tokens.trained += UInt64(count)
            badSteps = 0
            options.costModel?.add(examples, to: &cost)
        } else {
            tokens.discarded += UInt64(count)
        }
        let evaluation = options.plan.evaluates(version: version) ? try await evaluate() : nil
        let train = (trained - begun).seconds
        recorder.record(
            StepMetrics(
                step: version, version: version,
                training: skipped == nil
                    ? TrainingMetrics(
                        supervised: result.statistics, gradNorm: result.gradNorm, learningRate: learningRate)
                    : nil,
                tokens: tokens, cost: counted, skipped: skipped, evaluation: evaluation,
                timing: TimingMetrics(
                    trainingTokensPerSecond: train > 0 ? Double(count) / train : 0,
                    waitEvaluationSeconds: (now - trained).seconds, trainSeconds: train,
                    stepSeconds: (now - begun).seconds)))
    }

    /// Why the step under way is given up; throws when the run is not to go on.
    private func skip(loss: Double, gradNorm: Double) throws(LearnerError) -> String {
        badSteps += 1
        let flaw = "the loss is \(loss) and the gradient's norm \(gradNorm)"
        guard !options.stepGuard.ends(inARow: badSteps) else {
            throw LearnerError(
                .badStep,
                "step \(version + 1)\(badSteps > 1 ? ", the last of \(badSteps) bad steps in a row" : ""): \(flaw); it was "
                    + "not trained; go on as another run with --from and a lower training.learning_rate")
        }
        logger.warning("step \(version + 1) is skipped: \(flaw)")
        return flaw
    }

    private func stopInTime() {
        if let longest = saver?.longest { timeLimit?.saved(in: longest) }
        guard let timeLimit, options.startedAt.duration(to: .now) >= timeLimit.stopAt, stopReason == nil else { return }
        logger.notice("stopping in time for a checkpoint before the time limit of \(timeLimit.limit.shortSeconds) s")
        stop("stopped by its time limit")
    }

    // MARK: Evaluation

    /// Evaluates the present weights; a stop waits for it.
    private func evaluate() async throws -> EvaluationMetrics? {
        guard let evaluator, !options.plan.heldout.isEmpty else { return nil }
        recorder.activity("evaluating")
        guard
            let evaluation = try await evaluator.evaluate(
                backend, options.plan, version: version, isStopped: { false })
        else { return nil }
        let evaluated = evaluation.responses
        recorder.record(samples: evaluated, step: version)
        recorder.activity("")
        let metrics = EvaluationMetrics(evaluated, crossEntropy: evaluation.crossEntropy)
        let record = EvaluationRecord(
            step: version, metrics: metrics, exampleIDs: evaluated.first?.trajectory.responseIDs ?? [])
        reached = options.target.reached(by: metrics)
        if version == 0 { before = record }
        after = record
        return metrics
    }

    // MARK: Checkpoints

    /// Begins to save what the last step left.
    private func save() async {
        guard version > 0 else { return }
        let state = CheckpointState(
            step: version, plan: options.plan, tokenizerFingerprint: backend.tokenizerFingerprint, tokens: tokens,
            pending: nil, badSteps: badSteps, before: before, after: after, cost: counted)
        await saver?.save(state, of: backend)
    }
}
