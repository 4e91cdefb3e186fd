/// One line of `metrics.jsonl`: the run after `step` completed steps.
///
/// Telemetry writes the fields in snake case (`teacherKL` as `teacher_kl`, `evaluation.teacherKL` as
/// `eval_teacher_kl`, `lr` for the learning rate), nested structs flattened, absent ones left out. Everything but
/// `timing` is the same for two synchronous runs of one configuration and seed.
package struct StepMetrics: Sendable, Equatable, Codable {
    /// Completed steps; 0 is the line of the evaluation before training.
    package var step: UInt64
    /// Version of the weights after these steps.
    package var version: UInt64
    /// What the step did; nil in the line of step 0, and of a step that was skipped.
    package var training: TrainingMetrics?
    /// Why the step's batch was given up; nil when it was trained.
    package var skipped: String?
    /// Cumulative token counts when the step ended.
    package var tokens: TokenCounts
    /// Cumulative operations when the step ended; nil: not counted.
    package var cost: RunCost?
    /// Held-out evaluation of weights `version`, when one was due.
    package var evaluation: EvaluationMetrics?
    package var timing: TimingMetrics

    package init(
        step: UInt64, version: UInt64, training: TrainingMetrics?, tokens: TokenCounts,
        cost: RunCost? = nil, skipped: String? = nil, evaluation: EvaluationMetrics? = nil,
        timing: TimingMetrics = TimingMetrics()
    ) {
        self.step = step
        self.version = version
        self.training = training
        self.tokens = tokens
        self.cost = cost
        self.skipped = skipped
        self.evaluation = evaluation
        self.timing = timing
    }
}

/// What a version of the weights has otherwise than the one before it.
package struct WeightMetrics: Sendable, Equatable, Codable {
    /// Bytes of a whole version, and of the difference.
    package var snapshotBytes: Int
    package var differenceBytes: Int
    /// Share of the weights whose bits have changed.
    package var density: Double
    /// Seconds that it took to make.
    package var seconds: Double

    package init(snapshotBytes: Int, differenceBytes: Int, density: Double, seconds: Double) {
        self.snapshotBytes = snapshotBytes
        self.differenceBytes = differenceBytes
        self.density = density
        self.seconds = seconds
    }
}

/// What a training step saw and did.
package struct TrainingMetrics: Sendable, Equatable, Codable {
    package var loss: Double
    /// The mean reverse KL from the teachers, in nats a token; nil without teachers.
    package var teacherKL: Double?
    package var entropy: Double?
    /// Importance ratios; nil where responses are imitated.
    package var ratioMean: Double?
    package var ratioMax: Double?
    package var clipFraction: Double?
    /// Share of the graded tokens whose log-ratio of student and teacher was clamped; nil without a limit.
    package var clampFraction: Double?
    /// Of the tokens graded by teachers with other tokenizers the share that is one token of the teacher's, too, and the
    /// share without a grade; nil where all tokenizers are the student's.
    package var oneToOne: Double?
    package var incomparable: Double?
    /// Mean divergence of the student's whole distribution from the teacher's, in nats a token, and what either gives to
    /// the tokens that the teacher does not list; nil where only sampled tokens are compared.
    package var divergence: Double?
    package var tail: Double?
    package var teacherTail: Double?
    /// Share of the sampled tokens that are their teacher's most probable ones, and the mean entropy of the teacher's
    /// distribution, in nats a token; nil where what the teacher tells leaves them open.
    package var teacherChoice: Double?
    package var teacherEntropy: Double?
    /// Cross-entropy of the responses that were imitated beside what was sampled, in nats a token; nil where none were.
    package var crossEntropy: Double?
    /// The reverse KL by the parts of the batch; nil without teachers.
    package var parts: DivergenceParts?
    /// Nil where responses are no episodes.
    package var episodes: EpisodeMetrics?
    /// Mean and largest |s - b| in nats over the tokens that the weights being trained have sampled; nil where sampler
    /// and trainer promise the same bits, or there are none.
    package var mismatchMean: Double?
    package var mismatchMax: Double?
    /// Mean reward of the responses that verifiers judged, and the share of them that passed; nil when there are none.
    package var rewardMean: Double?
    package var passRate: Double?
    /// Global norm of the gradient before clipping.
    package var gradNorm: Double
    package var learningRate: Double
    package var responseLengthMean: Double
    package var truncatedFraction: Double
    package var stalenessMean: Double
    package var stalenessMax: UInt64
    /// Response tokens of the batch.
    package var batchTokens: Int

    /// - Parameter isExact: whether s and b have the same bits where weights are the same, so that nothing tells how far
    ///   they are apart.
    package init(_ statistics: BatchStatistics, gradNorm: Double, learningRate: Double, isExact: Bool = true) {
        self.init(supervised: statistics, gradNorm: gradNorm, learningRate: learningRate)
        if !isExact { (mismatchMean, mismatchMax) = (statistics.mismatchMean, statistics.mismatchMax) }
        teacherKL = statistics.isGraded ? statistics.teacherKL : nil
        ratioMean = statistics.ratioMean
        ratioMax = statistics.ratioMax
        clipFraction = statistics.clipFraction
        clampFraction = statistics.clampFraction
        oneToOne = statistics.oneToOne
        incomparable = statistics.incomparable
        divergence = statistics.divergence
        tail = statistics.tail
        teacherTail = statistics.teacherTail
        crossEntropy = statistics.givenCrossEntropy
        teacherChoice = statistics.teacherChoice
        teacherEntropy = statistics.teacherEntropy
    }

    /// Metrics of a step that imitates responses, whether they are given or a teacher's.
    package init(supervised statistics: BatchStatistics, gradNorm: Double, learningRate: Double) {
        loss = statistics.loss
        entropy = statistics.entropy
        rewardMean = statistics.rewardMean
        passRate = statistics.passRate
        self.gradNorm = gradNorm
        self.learningRate = learningRate
        responseLengthMean = statistics.responseLengthMean
        truncatedFraction = statistics.truncatedFraction
        stalenessMean = statistics.stalenessMean
        stalenessMax = statistics.stalenessMax
        batchTokens = statistics.tokens
    }
}

/// Response tokens of training rollouts since the start of the run: generated = trained + discarded + in flight.
package struct TokenCounts: Sendable, Equatable, Codable {
    /// Tokens accepted from rollout workers.
    package var generated: UInt64
    package var trained: UInt64
    /// Accepted and given up, as those in flight in a checkpoint are when a run resumes.
    package var discarded: UInt64
    /// Tokens accepted and not trained yet.
    package var inFlight: UInt64

    /// The counts without what is in flight, as if it had not come yet.
    package var settled: TokenCounts {
        TokenCounts(generated: generated - inFlight, trained: trained, discarded: discarded)
    }

    package init(generated: UInt64 = 0, trained: UInt64 = 0, discarded: UInt64 = 0, inFlight: UInt64 = 0) {
        self.generated = generated
        self.trained = trained
        self.discarded = discarded
        self.inFlight = inFlight
    }

    package var balances: Bool {
        // It is subtracted, which overflows with nothing that a file may say.
        var rest = generated
        for part in [trained, discarded, inFlight] {
            guard part <= rest else { return false }
            rest -= part
        }
        return rest == 0
    }
}

/// A held-out evaluation: prompts, seeds and limits are the same at every one of a run.
package struct EvaluationMetrics: Sendable, Equatable, Codable {
    /// Token mean of b - t over the held-out responses, in nats; nil without teachers.
    package var teacherKL: Double?
    /// Share of the responses that pass their verifier, pass@1; nil where none was judged.
    package var passRate: Double?
    package var rewardMean: Double?
    /// Mean of -s over the tokens of given responses to the held-out prompts, in nats; nil where it is not measured.
    package var crossEntropy: Double?
    /// `passRate` of the teachers on the same prompts; nil where it was not asked for.
    package var teacherPassRate: Double?
    package var responses: Int
    package var tokens: Int
    package var responseLengthMean: Double
    package var truncatedFraction: Double

    /// Sums in the order given; pass the trajectories sorted by id.
    package init(_ evaluated: [ScoredTrajectory], crossEntropy: Double? = nil) {
        var statistics = BatchStatistics()
        for scored in evaluated { statistics.add(scored, version: 0) }
        teacherKL = statistics.isGraded ? statistics.teacherKL : nil
        passRate = statistics.passRate
        rewardMean = statistics.rewardMean
        self.crossEntropy = crossEntropy
        responses = statistics.trajectories
        tokens = statistics.tokens
        responseLengthMean = statistics.responseLengthMean
        truncatedFraction = statistics.truncatedFraction
    }
}

/// Where a step's time went.
package struct TimingMetrics: Sendable, Equatable, Codable {
    /// Response tokens accepted from rollout workers a second, since the previous step.
    package var samplingTokensPerSecond: Double
    /// Response tokens graded a second, since the previous step.
    package var scoringTokensPerSecond: Double
    /// Batch tokens a second of the trainer's own time.
    package var trainingTokensPerSecond: Double
    /// Seconds the learner waited while rollouts of its batch were missing.
    package var waitRolloutsSeconds: Double
    /// Seconds it waited with every rollout there and grades missing.
    package var waitScoresSeconds: Double
    /// Seconds it waited for a held-out evaluation.
    package var waitEvaluationSeconds: Double
    /// Seconds of training, the part in `stepSeconds` that is no wait.
    package var trainSeconds: Double
    /// Seconds from the end of the previous step to the end of this one.
    package var stepSeconds: Double
    /// The newest difference of weights that was made when the step ended, mostly that which leads to the version before;
    /// nil where none was.
    package var weights: WeightMetrics?
    /// Age, in seconds, of the newest copy of a checkpoint at the run's second place; nil where there is none.
    package var copyAge: Double?

    package init(
        samplingTokensPerSecond: Double = 0, scoringTokensPerSecond: Double = 0, trainingTokensPerSecond: Double = 0,
        waitRolloutsSeconds: Double = 0, waitScoresSeconds: Double = 0, waitEvaluationSeconds: Double = 0,
        trainSeconds: Double = 0, stepSeconds: Double = 0
    ) {
        self.samplingTokensPerSecond = samplingTokensPerSecond
        self.scoringTokensPerSecond = scoringTokensPerSecond
        self.trainingTokensPerSecond = trainingTokensPerSecond
        self.waitRolloutsSeconds = waitRolloutsSeconds
        self.waitScoresSeconds = waitScoresSeconds
        self.waitEvaluationSeconds = waitEvaluationSeconds
        self.trainSeconds = trainSeconds
        self.stepSeconds = stepSeconds
    }
}
