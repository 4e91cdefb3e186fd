import Distillation
import Exchange
import Foundation
import Locking
import RunFiles
import Wire

/// What a learner remembers between steps, beside the exchange.
struct LearnerState: Sendable {
    /// Where to go on from, until it was read.
    var resuming: Checkpoint?
    /// The line of the last step, until its evaluation is in.
    var pending: StepMetrics?
    /// The ledger when the last step ended: what a checkpoint keeps. Later tokens are sampled again.
    var boundary: TokenCounts
    var before: EvaluationRecord?
    var after: EvaluationRecord?
    /// Operations of the steps done.
    var cost = RunCost()
    /// What of its target the run has reached.
    var reached: String?
    /// Steps skipped since the last that was trained.
    var badSteps = 0
    /// Whether the present weights are to blame for that: then older checkpoints stay.
    var isSuspect = false

    init(
        resuming: (checkpoint: Checkpoint, state: CheckpointState)?, plan: RunPlan, counts: TokenCounts,
        target: RunTarget
    ) {
        boundary = counts
        guard let resuming else {
            if plan.evaluates(version: 0) {
                pending = StepMetrics(step: 0, version: 0, training: nil, tokens: counts)
            }
            return
        }
        self.resuming = resuming.checkpoint
        pending = resuming.state.pending
        badSteps = resuming.state.badSteps ?? 0
        before = resuming.state.before
        after = resuming.state.after
        cost = resuming.state.cost ?? RunCost()
        reached = after.flatMap { target.reached(by: $0.metrics) }
    }
}

extension Learner {
    func train() async throws {
        if let checkpoint = state.resuming {
            recorder.activity("reading \(checkpoint.path)")
            try await during("reading \(checkpoint.path)") { try await backend.restore(from: checkpoint.path) }
            recorder.activity("")
        }
        if state.pending != nil { beginEvaluation() }
        try await publish()
        while try await settle(), exchange.version < options.plan.steps {
            guard await wait(exchange.stage == .rollouts ? .rollouts : .scores, until: { exchange.stage == .ready })
            else { return }
            try await step()
        }
    }

    /// Trains the complete batch and publishes what came of it.
    private func step() async throws {
        guard let complete = exchange.batch() else {
            preconditionFailure("a step is trained when its batch is complete")
        }
        let batch = await judged(complete)
        if let flaw = options.stepGuard.flaw(in: batch) { return try await skip(flaw, batch) }
        let version = exchange.version
        let learningRate = options.learningRate(version)
        account()
        phase = .training
        let begun = now
        trainingSince = begun
        defer { trainingSince = nil }
        let result = try await backend.step(
            batch, objective: options.objective, learningRate: learningRate, version: version)
        account()
        phase = .other
        longestStep = max(longestStep, now - begun)
        trainingSince = nil
        timeLimit?.trained(in: now - begun)
        guard result.applied else {
            let loss = result.statistics.loss, norm = result.gradNorm
            return try await skip(
                StepGuard.flaw(loss: loss, gradNorm: norm, batch: batch)
                    ?? StepFlaw(.notFinite, "the gradient's norm is \(norm), too large for the optimizer", batch), batch
            )
        }
        state.badSteps = 0
        state.isSuspect = false
        options.costModel?.add(batch, isTrained: true, to: &state.cost)
        exchange.completeStep()
        state.boundary = options.plan.boundary(exchange.ledger.counts)
        if options.plan.evaluates(version: exchange.version) { beginEvaluation() }
        try await publish()
        let training =
            options.objective.imitates
            ? TrainingMetrics(supervised: result.statistics, gradNorm: result.gradNorm, learningRate: learningRate)
            : TrainingMetrics(result.statistics, gradNorm: result.gradNorm, learningRate: learningRate)
        account()
        state.pending = StepMetrics(
            step: exchange.version, version: exchange.version, training: training, tokens: state.boundary, cost: cost,
            timing: clock.lap(now: now, ledger: exchange.ledger, batchTokens: training.batchTokens))
        recorder.record(samples: Array(batch.prefix(options.recordedSamples)), step: exchange.version)
    }

    /// Gives the complete batch up; throws when the run is not to go on.
    private func skip(_ flaw: StepFlaw, _ batch: [ScoredTrajectory]) async throws {
        let step = exchange.version + 1
        recorder.record(suspects: flaw.offenders, flaw: flaw.text, step: step)
        state.badSteps += 1
        if flaw.blamesWeights { state.isSuspect = true }
        guard !options.stepGuard.ends(inARow: state.badSteps) else {
            let count = state.badSteps > 1 ? ", the last of \(state.badSteps) bad steps in a row" : ""
            throw LearnerError(
                .badStep,
                "step \(step)\(count): \(flaw.text); it was not trained, and suspects.jsonl in the run folder has what "
                    + "it is about; go on with --resume and another training.on_bad_step, or as "
                    + "another run with --from and a lower training.learning_rate")
        }
        logger.warning("step \(step) is skipped: \(flaw.text); see suspects.jsonl in the run folder")
        options.costModel?.add(batch, isTrained: false, to: &state.cost)
        exchange.skipStep()
        state.boundary = options.plan.boundary(exchange.ledger.counts)
        if options.plan.evaluates(version: exchange.version) { beginEvaluation() }
        try await publish()
        account()
        state.pending = StepMetrics(
            step: exchange.version, version: exchange.version, training: nil, tokens: state.boundary, cost: cost,
            skipped: flaw.text, timing: clock.lap(now: now, ledger: exchange.ledger, batchTokens: 0))
    }

    /// Operations so far, where they are counted.
    var cost: RunCost? { options.costModel == nil ? nil : state.cost }

    /// Opens the evaluation of the present weights, where workers have them.
    private func beginEvaluation() {
        if options.evaluator == nil { exchange.beginEvaluation() }
    }

    /// Sends out the present weights, where workers take them, and then the work that they allow.
    private func publish() async throws {
        guard !options.objective.imitates else { return perform(exchange.grantWork(now: now)) }
        let version = exchange.version
        let publisher = publisher
        let announcement = try await during("publishing the weights of step \(version)") {
            try await backend.withSnapshot { publisher.publish($0, version: version) }
        }
        perform(exchange.peers(.rollout).map { .send(.weightsAnnounce(announcement), to: $0) })
        perform(exchange.grantWork(now: now))
    }

    /// Waits for the evaluation of the last step, writes the step's line, and saves a checkpoint when one is due.
    /// - Returns: whether to go on.
    private func settle() async throws -> Bool {
        if var metrics = state.pending {
            guard let evaluation = try await evaluation(of: metrics.version) else { return false }
            let complete = evaluation.responses
            let evaluated = complete.filter(\.isFinite)
            if evaluated.count < complete.count {
                let count = "\(complete.count - evaluated.count) of \(complete.count)"
                logger.warning(
                    "\(count) held-out responses have no grades and are left out; see suspects.jsonl in the run folder")
            }
            // The example is the answer to the first prompt, and to no other.
            let example = complete.first?.trajectory.responseIDs ?? []
            if !evaluated.isEmpty {
                keep(EvaluationMetrics(evaluated, crossEntropy: evaluation.crossEntropy), example, in: &metrics)
            }
            if !complete.isEmpty { recorder.record(samples: evaluated, step: metrics.step) }
            recorder.record(metrics)
            state.pending = nil
        }
        if options.checkpoints.isDue(step: exchange.version) { await save() }
        return !isStopped && state.reached == nil
    }

    /// The held-out responses of the present weights, graded and judged; none where no evaluation is due.
    /// - Returns: nil when the run was stopped first.
    private func evaluation(of version: UInt64) async throws -> HeldoutEvaluation? {
        if let evaluator = options.evaluator {
            guard options.plan.evaluates(version: version) else { return HeldoutEvaluation(responses: []) }
            account()
            phase = .evaluation
            recorder.activity("evaluating")
            let evaluated = try await during("evaluating") {
                try await evaluator.evaluate(backend, options.plan, version: version) { isStopped }
            }
            account()
            phase = .other
            recorder.activity("")
            return evaluated
        }
        guard exchange.evaluationProgress.total > 0 else { return HeldoutEvaluation(responses: []) }
        guard await wait(.evaluation, until: { exchange.evaluationStage == .ready }),
            let complete = exchange.completeEvaluation()
        else { return nil }
        return HeldoutEvaluation(responses: await judged(complete))
    }

    /// The trajectories with the verdicts of their prompts' verifiers.
    private func judged(_ trajectories: [ScoredTrajectory]) async -> [ScoredTrajectory] {
        guard let judge = options.judge else { return trajectories }
        let prompts = exchange.prompts(of: trajectories)
        return await onThread("opd-judge") { judge.judged(trajectories, prompts: prompts) }
    }

    private func keep(_ evaluated: EvaluationMetrics, _ example: [Int32], in metrics: inout StepMetrics) {
        var evaluation = evaluated
        evaluation.teacherPassRate = options.teacherPassRate
        metrics.evaluation = evaluation
        state.reached = options.target.reached(by: evaluation)
        let record = EvaluationRecord(step: metrics.step, metrics: evaluation, exampleIDs: example)
        if metrics.step == 0 { state.before = record }
        state.after = record
    }

    // MARK: Checkpoints

    /// Begins to save what the last step left.
    private func save() async {
        await finishSaving()
        guard let checkpoints, let saver else { return }
        if state.isSuspect, let latest = checkpoints.latest() {
            logger.warning(
                "no checkpoint of step \(exchange.version): its weights gave bad steps; \(latest.path) stays the newest"
            )
            return
        }
        // Nothing was ever trained: there is nothing to keep of a student that was bad from the start.
        if state.isSuspect, exchange.ledger.counts.trained == 0 { return }
        let snapshot = CheckpointState(
            step: exchange.version, plan: options.plan, tokenizerFingerprint: backend.tokenizerFingerprint,
            tokens: state.boundary, pending: state.pending, badSteps: state.badSteps,
            before: state.before, after: state.after, cost: cost)
        await saver.save(snapshot, of: backend)
    }

    func finishSaving() async {
        guard let saver, saver.isWriting else { return }
        recorder.activity("saving a checkpoint")
        await during("saving a checkpoint") { await saver.finish() }
        recorder.activity("")
    }

    /// The last checkpoint of this process, on disk when this returns. Nothing is lost by not saving a run without a
    /// completed step.
    func saveFinally() async {
        if exchange.version > 0 { await save() }
        await finishSaving()
    }
}
