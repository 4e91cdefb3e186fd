import Distillation
import JSON

extension StepMetrics: RunRecord {
    /// Reads a line of `metrics.jsonl`. A number that is null, because it was not finite, is not a number (NaN) here,
    /// or nil where a nil is written as null too.
    package init(fields: JSONFields) throws(JSONFieldError) {
        self.init(
            step: try fields.integer("step"), version: try fields.integer("version"),
            training: try TrainingMetrics(fields), tokens: try TokenCounts(fields), cost: try RunCost(fields),
            skipped: fields.has("skipped") ? try fields.string("skipped") : nil,
            evaluation: try EvaluationMetrics(fields), timing: try TimingMetrics(fields))
    }
}

extension WeightMetrics {
    /// The figures of a difference; nil in a line of a run that made none.
    fileprivate init?(_ fields: JSONFields) throws(JSONFieldError) {
        guard fields.has("weight_difference_bytes") else { return nil }
        self.init(
            snapshotBytes: try fields.integer("weight_bytes"),
            differenceBytes: try fields.integer("weight_difference_bytes"),
            density: try fields.double("weight_density"), seconds: try fields.double("weight_difference_s"))
    }
}

extension TrainingMetrics {
    /// The figures of a training step; nil in a line of no training.
    fileprivate init?(_ fields: JSONFields) throws(JSONFieldError) {
        guard fields.has("batch_tokens") else { return nil }
        self.init(
            supervised: BatchStatistics(), gradNorm: try fields.double("grad_norm"),
            learningRate: try fields.double("lr"))
        loss = try fields.double("loss")
        teacherKL = try fields.optionalDouble("teacher_kl")
        entropy = try fields.optionalDouble("entropy")
        ratioMean = try fields.optionalDouble("ratio_mean")
        ratioMax = try fields.optionalDouble("ratio_max")
        clipFraction = try fields.optionalDouble("clip_fraction")
        clampFraction = try fields.optionalDouble("clamp_fraction")
        oneToOne = try fields.optionalDouble("one_to_one_fraction")
        incomparable = try fields.optionalDouble("ungraded_fraction")
        divergence = try fields.optionalDouble("divergence")
        tail = try fields.optionalDouble("tail_mass")
        teacherTail = try fields.optionalDouble("teacher_tail_mass")
        crossEntropy = try fields.optionalDouble("cross_entropy")
        teacherChoice = try fields.optionalDouble("teacher_choice_fraction")
        teacherEntropy = try fields.optionalDouble("teacher_entropy")
        parts = try DivergenceParts(fields)
        episodes = try EpisodeMetrics(fields)
        mismatchMean = try fields.optionalDouble("mismatch_mean")
        mismatchMax = try fields.optionalDouble("mismatch_max")
        rewardMean = try fields.optionalDouble("reward_mean")
        passRate = try fields.optionalDouble("pass_rate")
        responseLengthMean = try fields.double("response_length_mean")
        truncatedFraction = try fields.double("truncated_fraction")
        stalenessMean = try fields.double("staleness_mean")
        stalenessMax = try fields.integer("staleness_max")
        batchTokens = try fields.integer("batch_tokens")
    }
}

extension DivergenceParts {
    /// The divergence by parts of the batch; nil in a line of a run that has none.
    fileprivate init?(_ fields: JSONFields) throws(JSONFieldError) {
        var positions: [Double?] = []
        for beginning in Self.beginnings { positions.append(try fields.optionalDouble("teacher_kl_from_\(beginning)")) }
        func values(_ name: String) throws(JSONFieldError) -> [String: Double] {
            fields.has(name) ? try fields.fields(name).doubles() : [:]
        }
        let teachers = try values("teacher_kl_by_teacher"), tags = try values("teacher_kl_by_tag")
        var turns: [Int: Double] = [:]
        for (name, value) in try values("teacher_kl_by_turn") {
            guard let turn = Int(name) else {
                throw JSONFieldError(description: "'teacher_kl_by_turn' has a member that is no turn")
            }
            turns[turn] = value
        }
        guard positions.contains(where: { $0 != nil }) || !teachers.isEmpty || !tags.isEmpty || !turns.isEmpty else {
            return nil
        }
        self.init(positions: positions, teachers: teachers, tags: tags, turns: turns)
    }
}

extension EpisodeMetrics {
    /// What episodes were like; nil in a line of a run that has none.
    fileprivate init?(_ fields: JSONFields) throws(JSONFieldError) {
        guard fields.has("turns_mean") else { return nil }
        var ends: [FinishReason: Double] = [:]
        for (name, value) in try fields.fields("episode_ends").doubles() {
            guard let reason = FinishReason(rawValue: name) else { continue }
            ends[reason] = value
        }
        self.init(turnsMean: try fields.double("turns_mean"), ends: ends)
    }
}

extension TokenCounts {
    fileprivate init(_ fields: JSONFields) throws(JSONFieldError) {
        self.init(
            generated: try fields.integer("tokens_generated"), trained: try fields.integer("tokens_trained"),
            discarded: try fields.integer("tokens_discarded"), inFlight: try fields.integer("tokens_in_flight"))
    }
}

extension RunCost {
    /// The operations so far; nil in a line of a run that does not count them.
    fileprivate init?(_ fields: JSONFields) throws(JSONFieldError) {
        guard fields.has("sampling_flops") else { return nil }
        self.init(
            sampling: try fields.double("sampling_flops"), scoring: try fields.double("scoring_flops"),
            training: try fields.double("training_flops"))
    }
}

extension EvaluationMetrics {
    /// The figures of an evaluation; nil in a line without one.
    fileprivate init?(_ fields: JSONFields) throws(JSONFieldError) {
        guard fields.has("eval_responses") else { return nil }
        self.init([])
        teacherKL = try fields.optionalDouble("eval_teacher_kl")
        passRate = try fields.optionalDouble("eval_pass_at_1")
        rewardMean = try fields.optionalDouble("eval_reward_mean")
        crossEntropy = try fields.optionalDouble("eval_cross_entropy")
        teacherPassRate = try fields.optionalDouble("eval_teacher_pass_at_1")
        responses = try fields.integer("eval_responses")
        tokens = try fields.integer("eval_tokens")
        responseLengthMean = try fields.double("eval_response_length_mean")
        truncatedFraction = try fields.double("eval_truncated_fraction")
    }
}

extension TimingMetrics {
    fileprivate init(_ fields: JSONFields) throws(JSONFieldError) {
        self.init(
            samplingTokensPerSecond: try fields.double("sampling_tokens_per_second"),
            scoringTokensPerSecond: try fields.double("scoring_tokens_per_second"),
            trainingTokensPerSecond: try fields.double("training_tokens_per_second"),
            waitRolloutsSeconds: try fields.double("wait_rollouts_s"),
            waitScoresSeconds: try fields.double("wait_scores_s"),
            waitEvaluationSeconds: try fields.double("wait_evaluation_s"),
            trainSeconds: try fields.double("train_s"), stepSeconds: try fields.double("step_s"))
        weights = try WeightMetrics(fields)
        copyAge = try fields.optionalDouble("copy_age_s")
    }
}
