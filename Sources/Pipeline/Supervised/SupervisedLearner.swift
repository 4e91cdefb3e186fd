import Distillation
import Engines
import Exchange
import Logging
import RunFiles
import Wording

/// Trains a model to imitate given responses: supervised fine-tuning, and pre-training from scratch.
///
/// There is nobody to share work with, so this is a plain loop over the same backend, checkpoints and records as a
/// learner's. A step is a function of the weights, the optimizer and the step's number: a run that was stopped and goes
/// on from a checkpoint gives the same bits as one that was not.
package actor SupervisedLearner: RunLearner {
    private let options: RunOptions
    private let backend: any SupervisedBackend
    private var source: any ExampleSource
    private let evaluator: HeldoutEvaluator?
    private let checkpoints: CheckpointStore?
    private let saver: CheckpointSaver?
    private let recorder: any RunRecorder
    private let logger: Logger
    private let origin: ContinuousClock.Instant = .now
    private var course: RunCourse
    private var lane = LearnerLane()
    /// The checkpoint to go on from, until it was read.
    private var resuming: Checkpoint?

    /// - Parameters:
    ///   - evaluator: nil: no evaluation.
    ///   - checkpoints: nil keeps none.
    ///   - resuming: the checkpoint to go on from, with its state.
    package init(
        options: RunOptions, backend: any SupervisedBackend, source: any ExampleSource,
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
                $0, options, saved: resuming?.state,
                logger: logger)
        }
        self.recorder = recorder
        self.logger = logger
        self.resuming = resuming?.checkpoint
        course = RunCourse(options, resuming: resuming?.state)
    }

    private var now: Duration { origin.duration(to: .now) }

    /// Ends the run after the step that is being trained, with a checkpoint.
    package func stop(_ reason: String, handsOver: Bool = false) { course.stop(reason) }

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
        flushLane(isLast: true)
        return LearnerOutcome(
            end: course.end, version: course.version, checkpoint: checkpoints?.latest(),
            checkpointFailure: await saver?.failure, before: course.before, after: course.after,
            tokens: course.tokens, cost: course.countedCost, uncountedTeachers: [], counters: ExchangeCounters(),
            seconds: now.seconds)
    }

    private func flushLane(isLast: Bool = false) {
        lane.flush(now: now, to: recorder, step: course.version, isLast: isLast) {
            saver?.takeWritten().map { origin.duration(to: $0.lowerBound)..<origin.duration(to: $0.upperBound) } ?? []
        }
    }

    private func train() async throws {
        if let checkpoint = resuming {
            recorder.activity("reading \(checkpoint.path)")
            try await backend.restore(from: checkpoint.path)
            recorder.activity(nil)
            resuming = nil
        } else {
            // The first line of these runs has the cost, too.
            if course.evaluatesNow { course.endLine(training: nil, skipped: nil) }
            let begun = now
            try await finishStep(TimingMetrics(), begun: begun, trained: begun)
        }
        while course.goesOn {
            try await step()
            if course.isCheckpointDue { await save() }
            stopInTime()
            flushLane()
        }
    }

    private func step() async throws {
        let begun = now
        let examples = try source.batch(step: course.version)
        let count = examples.reduce(0) { $0 + $1.responseIDs.count }
        let learningRate = course.learningRate
        lane.enter(.training, now: now)
        let result = try await backend.step(examples, learningRate: learningRate, version: course.version)
        let trained = now
        lane.enter(.other, now: trained)
        course.trained(in: trained - begun)
        var tokens = course.tokens
        tokens.generated += UInt64(count)
        if let flaw = course.flaw(of: result, batch: []) {
            let warning = try course.giveUpStep(flaw)
            logger.warning("\(warning)")
            tokens.discarded += UInt64(count)
            course.skipStep(tokens: tokens)
            course.endLine(training: nil, skipped: flaw.text)
        } else {
            tokens.trained += UInt64(count)
            course.addCost(of: examples)
            course.completeStep(tokens: tokens)
            course.endLine(
                training: TrainingMetrics(
                    supervised: result.statistics, gradNorm: result.gradNorm, learningRate: learningRate),
                skipped: nil)
        }
        let seconds = (trained - begun).seconds
        let timing = TimingMetrics(
            trainingTokensPerSecond: seconds > 0 ? Double(count) / seconds : 0, trainSeconds: seconds)
        try await finishStep(timing, begun: begun, trained: trained)
    }

    /// Evaluates the present weights where that is due, and records the line that waits for it.
    private func finishStep(_ timing: TimingMetrics, begun: Duration, trained: Duration) async throws {
        let evaluation = course.evaluatesNow ? try await evaluate() : nil
        var timing = timing
        timing.waitEvaluationSeconds = (now - trained).seconds
        timing.stepSeconds = (now - begun).seconds
        timing.copyAge = options.copies?.report.age
        let line = course.recordLine(
            evaluation?.metrics, exampleIDs: evaluation?.exampleIDs ?? [], timing: timing)
        if let line { recorder.record(line) }
    }

    private func stopInTime() {
        let elapsed = options.startedAt.duration(to: .now)
        guard let notice = course.stopInTime(elapsed: elapsed, longestSave: saver?.longest) else { return }
        logger.notice("\(notice)")
    }

    /// Evaluates the present weights; a stop waits for it.
    private func evaluate() async throws -> (metrics: EvaluationMetrics, exampleIDs: [Int32])? {
        guard let evaluator else { return nil }
        recorder.activity("evaluating")
        lane.enter(.evaluation, now: now)
        defer { lane.enter(.other, now: now) }
        guard
            let evaluation = try await evaluator.evaluate(
                backend, options.plan, version: course.version, isStopped: { false })
        else { return nil }
        let evaluated = evaluation.responses
        recorder.record(samples: evaluated, step: course.version)
        recorder.activity(nil)
        return (
            EvaluationMetrics(evaluated, crossEntropy: evaluation.crossEntropy),
            evaluated.first?.trajectory.responseIDs ?? []
        )
    }

    /// Begins to save what the last step left.
    private func save() async {
        guard course.version > 0 else { return }
        lane.enter(.checkpoint, now: now)
        defer { lane.enter(.other, now: now) }
        await saver?.save(course.checkpointState(tokenizerFingerprint: backend.tokenizerFingerprint), of: backend)
    }
}
