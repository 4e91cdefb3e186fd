import Distillation
import JSON

/// Writes `metrics.jsonl`: one line a step, flushed as it is written.
package final class MetricsWriter: Sendable {
    private let file: JSONLinesFile

    /// - Parameters:
    ///   - folder: the run folder.
    ///   - lastStep: lines of later steps are cut; nil starts an empty file.
    ///   - staging: see ``JSONLinesFile/init(path:resumingAfter:staging:)``.
    package init(folder: String, resumingAfter lastStep: Int?, staging: String? = nil) throws(TelemetryError) {
        file = try JSONLinesFile(path: "\(folder)/metrics.jsonl", resumingAfter: lastStep, staging: staging)
    }

    /// Appends a step; throws when the disk is full, which a run survives.
    package func append(_ metrics: StepMetrics) throws(TelemetryError) { try file.append(metrics.jsonLine) }
}

extension StepMetrics {
    /// The step as `metrics.jsonl` has it: fields in a fixed order; what was not measured, or is no number, is `null`.
    package var jsonLine: String {
        func field(_ value: Double?) -> String { JSONText.number(value ?? .nan) }
        var fields: [(name: String, json: String)] = [
            ("step", String(step)), ("version", String(version)),
            ("loss", field(training?.loss)), ("teacher_kl", field(training?.teacherKL)),
            ("entropy", field(training?.entropy)), ("ratio_mean", field(training?.ratioMean)),
            ("ratio_max", field(training?.ratioMax)), ("clip_fraction", field(training?.clipFraction)),
            ("grad_norm", field(training?.gradNorm)), ("lr", field(training?.learningRate)),
            ("response_length_mean", field(training?.responseLengthMean)),
            ("truncated_fraction", field(training?.truncatedFraction)),
            ("staleness_mean", field(training?.stalenessMean)),
            ("staleness_max", training.map { String($0.stalenessMax) } ?? "null"),
            ("batch_tokens", training.map { String($0.batchTokens) } ?? "null"),
            ("tokens_generated", String(tokens.generated)), ("tokens_trained", String(tokens.trained)),
            ("tokens_discarded", String(tokens.discarded)), ("tokens_in_flight", String(tokens.inFlight)),
            ("sampling_tokens_per_second", field(timing.samplingTokensPerSecond)),
            ("scoring_tokens_per_second", field(timing.scoringTokensPerSecond)),
            ("training_tokens_per_second", field(timing.trainingTokensPerSecond)),
            ("wait_rollouts_s", field(timing.waitRolloutsSeconds)), ("wait_scores_s", field(timing.waitScoresSeconds)),
            ("wait_evaluation_s", field(timing.waitEvaluationSeconds)), ("train_s", field(timing.trainSeconds)),
            ("step_s", field(timing.stepSeconds)),
        ]
        if let cost {
            fields += [
                ("sampling_flops", JSONText.number(cost.sampling)), ("scoring_flops", JSONText.number(cost.scoring)),
                ("training_flops", JSONText.number(cost.training)),
            ]
        }
        if let share = training?.oneToOne { fields.append(("one_to_one_fraction", JSONText.number(share))) }
        if let share = training?.incomparable { fields.append(("ungraded_fraction", JSONText.number(share))) }
        if let clamped = training?.clampFraction { fields.append(("clamp_fraction", JSONText.number(clamped))) }
        if let divergence = training?.divergence {
            fields.append(("divergence", JSONText.number(divergence)))
        }
        if let tail = training?.tail {
            fields += [("tail_mass", JSONText.number(tail)), ("teacher_tail_mass", field(training?.teacherTail))]
        }
        if let given = training?.crossEntropy { fields.append(("cross_entropy", JSONText.number(given))) }
        if let choice = training?.teacherChoice { fields.append(("teacher_choice_fraction", JSONText.number(choice))) }
        if let entropy = training?.teacherEntropy { fields.append(("teacher_entropy", JSONText.number(entropy))) }
        if let parts = training?.parts { fields += parts.jsonFields }
        if let episodes = training?.episodes { fields += episodes.jsonFields }
        if let mismatch = training?.mismatchMean {
            fields += [("mismatch_mean", JSONText.number(mismatch)), ("mismatch_max", field(training?.mismatchMax))]
        }
        if let reward = training?.rewardMean {
            fields += [("reward_mean", JSONText.number(reward)), ("pass_rate", field(training?.passRate))]
        }
        if let weights = timing.weights {
            fields += [
                ("weight_bytes", String(weights.snapshotBytes)),
                ("weight_difference_bytes", String(weights.differenceBytes)),
                ("weight_density", JSONText.number(weights.density)),
                ("weight_difference_s", JSONText.number(weights.seconds)),
            ]
        }
        if let age = timing.copyAge { fields.append(("copy_age_s", JSONText.number(age))) }
        if let skipped { fields.append(("skipped", JSONText.string(skipped))) }
        if let evaluation {
            fields += [
                ("eval_teacher_kl", field(evaluation.teacherKL)),
                ("eval_responses", String(evaluation.responses)), ("eval_tokens", String(evaluation.tokens)),
                ("eval_response_length_mean", JSONText.number(evaluation.responseLengthMean)),
                ("eval_truncated_fraction", JSONText.number(evaluation.truncatedFraction)),
            ]
            if let crossEntropy = evaluation.crossEntropy {
                fields.append(("eval_cross_entropy", JSONText.number(crossEntropy)))
            }
            if let passRate = evaluation.passRate {
                fields += [
                    ("eval_pass_at_1", JSONText.number(passRate)), ("eval_reward_mean", field(evaluation.rewardMean)),
                ]
            }
            if let passRate = evaluation.teacherPassRate {
                fields.append(("eval_teacher_pass_at_1", JSONText.number(passRate)))
            }
        }
        return JSONText.object(fields)
    }
}

extension DivergenceParts {
    /// The divergence of each part as `metrics.jsonl` has it: of places one member each, of teachers and tags an object by
    /// their names; what is not told apart is left out.
    fileprivate var jsonFields: [(name: String, json: String)] {
        var fields: [(name: String, json: String)] = []
        for (beginning, value) in zip(Self.beginnings, positions) {
            if let value { fields.append(("teacher_kl_from_\(beginning)", JSONText.number(value))) }
        }
        for (name, values) in [("teacher_kl_by_teacher", teachers), ("teacher_kl_by_tag", tags)] where !values.isEmpty {
            let members = values.sorted { $0.key < $1.key }.map { (name: $0.key, json: JSONText.number($0.value)) }
            fields.append((name, JSONText.object(members)))
        }
        if !turns.isEmpty {
            let members = turns.sorted { $0.key < $1.key }.map { (name: "\($0.key)", json: JSONText.number($0.value)) }
            fields.append(("teacher_kl_by_turn", JSONText.object(members)))
        }
        return fields
    }
}

extension EpisodeMetrics {
    /// The turns and how episodes ended, by the names of `finish_reason`.
    fileprivate var jsonFields: [(name: String, json: String)] {
        let shares = FinishReason.allCases.compactMap { reason in
            ends[reason].map { (name: reason.rawValue, json: JSONText.number($0)) }
        }
        return [("turns_mean", JSONText.number(turnsMean)), ("episode_ends", JSONText.object(shares))]
    }
}
