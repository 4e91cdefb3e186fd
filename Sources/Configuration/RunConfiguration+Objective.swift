import Distillation

extension RunConfiguration {
    /// Keys without which this run cannot be, by what it learns from.
    var missing: [(key: String, message: String)] {
        var missing: [(key: String, message: String)] = []
        if student.model.isEmpty, shape.layers == 0 {
            missing.append(("student.model", "missing; a path: model that is trained"))
        }
        if kind.hasTeachers, teachers.isEmpty {
            missing.append(
                ("teachers", "missing; name at least one teacher: 'teachers: { default: { model: ... } }'"))
        }
        if data.prompts == nil, data.task == nil {
            missing.append(("data.prompts", "missing; a path: JSON lines of training prompts; or name a data.task"))
        }
        return missing
    }

    /// Settings that cannot go together.
    var contradictions: [(key: String, message: String)] {
        var found: [(key: String, message: String)] = []
        if let task = data.task {
            if data.prompts != nil { found.append(("data.task", "data.prompts is given too; give one")) }
            do {
                _ = try ExerciseGenerator(task)
            } catch {
                found.append(("data.task", error.message))
            }
        }
        let fields = data.fields
        if fields != PromptFields(), (fields.prompt == nil) == (fields.messages == nil) {
            found.append(
                (
                    "data.fields",
                    fields.prompt == nil
                        ? "names neither 'prompt' nor 'messages', of which a prompt is made"
                        : "names both 'prompt' and 'messages'; give one"
                ))
        }
        if sampling.minTokens > sampling.maxTokens {
            found.append(
                (
                    "sampling.min_tokens",
                    "\(sampling.minTokens) is above sampling.max_tokens \(sampling.maxTokens)"
                ))
        }
        if shape.layers > 0 {
            if !student.model.isEmpty { found.append(("shape.layers", "student.model is given too; give one")) }
            if kind.sampler != .nobody {
                found.append(("shape.layers", "only a run with objective.kind supervised can begin from scratch"))
            }
            if lora.rank > 0 {
                found.append(("lora.rank", "a model from scratch has nothing to adapt: with shape.layers leave it out"))
            }
        }
        if kind.usesReward, data.samplesPerPrompt < 2 {
            found.append(
                (
                    "data.samples_per_prompt",
                    "a reward is compared with those of the prompt's other samples: objective.kind "
                        + "\(objective.kind.rawValue) needs at least 2"
                ))
        }
        return found + objectiveContradictions + teacherPromptContradictions + earlierSelfContradictions
            + environmentContradictions + tokenMapContradictions + serverContradictions + torchContradictions
            + weightSwapContradictions
    }

    /// Keys about the ratio of student and teacher where no teacher grades what the student samples.
    private var objectiveContradictions: [(key: String, message: String)] {
        (kind.grader == .teachers ? divergenceContradictions : ungradedContradictions) + givenContradictions
    }

    private var givenContradictions: [(key: String, message: String)] {
        guard objective.crossEntropyCoefficient > 0, kind.sampler != .student else { return [] }
        return [
            (
                "objective.cross_entropy_coefficient",
                "is beside what the student samples, and with objective.kind \(objective.kind.rawValue) it samples nothing; "
                    + "leave it out"
            )
        ]
    }

    private var ungradedContradictions: [(key: String, message: String)] {
        let standard = RunConfiguration.Method()
        let run = "a run with objective.kind \(objective.kind.rawValue)"
        var found: [(key: String, message: String)] = []
        if objective.logRatioLimit != standard.logRatioLimit {
            found.append(("objective.log_ratio_limit", Self.noRatio(run)))
        }
        if objective.teacherMix != standard.teacherMix { found.append(("objective.teacher_mix", Self.noRatio(run))) }
        if objective.divergence != .sampled {
            let message = "compares student and teacher, which \(run) does not; leave it out"
            found.append(("objective.divergence", message))
        }
        return found
    }

    private static func noRatio(_ run: String) -> String {
        "bounds the ratio of student and teacher, which \(run) does not have; leave it out"
    }
}

extension RunConfiguration.Method {
    /// What a training step minimises.
    package var objective: Objective {
        let run = kind.run
        guard !run.imitates else { return .imitation }
        if let divergence = wholeDivergence {
            let rewards =
                run.usesReward
                ? PolicyGradient(
                    loss: surrogate, reward: RewardTerm(coefficient: rewardCoefficient, scale: rewardScale)) : nil
            return .distribution(
                DistributionMatching(divergence, coefficient: klCoefficient, listing: listing, rewards: rewards))
        }
        return .policyGradient(
            PolicyGradient(
                loss: surrogate, advantage: advantage, baseline: baseline, klCoefficient: klCoefficient,
                klDiscount: klDiscount,
                logRatio: LogRatioBounds(limit: logRatioLimit > 0 ? logRatioLimit : nil, teacherMix: teacherMix),
                reward: run.usesReward ? RewardTerm(coefficient: rewardCoefficient, scale: rewardScale) : nil))
    }

    /// The divergence of whole distributions; nil where sampled tokens are compared.
    private var wholeDivergence: Divergence? {
        switch divergence {
        case .sampled: nil
        case .reverseKL: .reverseKL
        case .forwardKL: .forwardKL
        case .jensenShannon: .jensenShannon(beta: beta)
        case .skewKL: .skewKL(skew: skew)
        case .skewReverseKL: .skewReverseKL(skew: skew)
        }
    }

    /// The teacher's most probable tokens that grades of training rollouts come with; 0: none.
    package var gradedTokens: Int { listsTokens && topKFrom == .teacher ? topK : 0 }

    /// The tokens that the trainer lists, of both whole distributions; nil: none.
    private var listing: TokenListing? {
        guard listsTokens else { return nil }
        return switch topKFrom {
        case .teacher: nil
        case .student: .student(topK)
        case .union: .union(topK)
        }
    }

    /// The tokens of a position that somebody lists; 0: nobody does.
    package var listedTokens: Int { listsTokens ? topK : 0 }

    private var listsTokens: Bool { comparesDistributions && support == .topK }

    /// Whether the trainer has its teachers' heads, and gets their last hidden states.
    package var sharesHeads: Bool { headUse != nil }

    /// The setting for which it needs them, as a message names it; nil: it does not.
    package var headUse: String? {
        guard comparesDistributions else { return nil }
        if support == .full { return "objective.support full" }
        return topKFrom == .teacher ? nil : "objective.top_k_from \(topKFrom.rawValue)"
    }

    /// What to set instead, as a message says it.
    package var headAlternative: String { support == .full ? "set support to top_k" : "set top_k_from to teacher" }

    private var comparesDistributions: Bool { kind.run.grader == .teachers && divergence != .sampled }

    /// The loss with those parameters that are its own.
    private var surrogate: Loss {
        switch loss {
        case .importanceSampling: .importanceSampling
        case .ppoClip: .ppoClip(low: clipLow, high: clipHigh)
        case .truncatedImportanceSampling: .truncated(bound: truncation)
        }
    }
}
