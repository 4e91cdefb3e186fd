import Glibc

/// The policy gradient: L = (1/N) sum_i loss(exp(s_i - b_i), A_i), N being the number of response tokens of the whole
/// batch.
///
/// A is the teacher's part, minus the batch's baseline, plus the reward's part.
package struct PolicyGradient: Sendable, Equatable, Codable {
    package var loss: Loss
    package var advantage: AdvantageKind
    package var baseline: BaselineKind
    /// Scale of the reverse KL in the advantage; at least 0.
    package var klCoefficient: Double
    /// Discount of later tokens' reverse KL, 0 ... 1; 0: each token answers for itself.
    package var klDiscount: Double
    /// Bounds of every token's log-ratio, in force before coefficient and discount.
    package var logRatio: LogRatioBounds
    /// The reward's part of the advantage; nil: rewards are only measured.
    package var reward: RewardTerm?

    package init(
        loss: Loss = .importanceSampling, advantage: AdvantageKind = .behaviour, baseline: BaselineKind = .none,
        klCoefficient: Double = 1, klDiscount: Double = 0, logRatio: LogRatioBounds = LogRatioBounds(),
        reward: RewardTerm? = nil
    ) {
        self.loss = loss
        self.advantage = advantage
        self.baseline = baseline
        self.klCoefficient = klCoefficient
        self.klDiscount = klDiscount
        self.logRatio = logRatio
        self.reward = reward
    }

    /// Advantages of one response by its teacher: constants of the loss, 0 where no teacher grades.
    /// - Parameter current: s, log-probabilities under the weights that are trained; used when `advantage` is `current`.
    package func advantages(of scored: ScoredTrajectory, current: [Float]) -> [Double] {
        advantages(of: scored, policy: policy(of: scored, current: current))
    }

    /// The log-probabilities that are compared with the teacher's.
    private func policy(of scored: ScoredTrajectory, current: [Float]) -> [Float] {
        advantage == .behaviour ? scored.trajectory.behaviourLogprobs : current
    }

    /// B, which is subtracted from every advantage of the batch: 0, or a mean advantage of its response tokens under the
    /// policy that sampled them, plain or weighted with (1 - p)^2.
    package func baseline(of batch: [ScoredTrajectory]) -> Double {
        guard baseline != .none else { return 0 }
        var sum = 0.0, weights = 0.0
        for scored in batch {
            let behaviour = scored.trajectory.behaviourLogprobs
            for (advantage, logprob) in zip(advantages(of: scored, policy: behaviour), behaviour) {
                let length = baseline == .leastVariance ? 1 - exp(Double(logprob)) : 1
                sum += length * length * advantage
                weights += length * length
            }
        }
        return weights > 0 ? sum / weights : 0
    }

    private func advantages(of scored: ScoredTrajectory, policy: [Float]) -> [Double] {
        guard scored.trajectory.isGraded else { return policy.map { _ in 0 } }
        let divergence = divergence(of: scored, policy: policy)
        return Distillation.advantages(
            reverseKL: logRatio.isOpen ? divergence : divergence.map(logRatio.bounded), coefficient: klCoefficient,
            discount: klDiscount)
    }

    /// k of every token of a graded response, without bounds.
    private func divergence(of scored: ScoredTrajectory, policy: [Float]) -> [Double] {
        var divergence = reverseKL(policy: policy, teacher: scored.teacherLogprobs)
        // t is b where no teacher could say anything, which is no divergence of s.
        for (index, comparison) in (scored.comparisons ?? []).enumerated() where comparison == .none {
            divergence[index] = 0
        }
        return divergence
    }

    /// dL/ds of every response token of one trajectory; see ``Objective``'s function of this name.
    package func gradient(
        of scored: ScoredTrajectory, current: [Float], baseline: Double, rewardAdvantage: Double = 0, tokenCount: Int,
        version: UInt64, statistics: inout BatchStatistics
    ) -> [Float] {
        let behaviour = scored.trajectory.behaviourLogprobs
        precondition(current.count == behaviour.count, "one log-probability a response token")
        let constants = advantages(of: scored, current: current)
        let scale = 1 / Double(max(tokenCount, 1))
        var gradient = [Float](repeating: 0, count: current.count)
        for index in current.indices {
            let ratio = importanceRatio(current: current[index], behaviour: behaviour[index])
            let token = loss.token(ratio: ratio, advantage: constants[index] - baseline + rewardAdvantage)
            gradient[index] = Float(token.gradient * scale)
            statistics.add(token, ratio: ratio)
        }
        statistics.add(scored, version: version)
        statistics.add(mismatchOf: scored.trajectory, current: current, version: version)
        if logRatio.limit != nil, scored.trajectory.isGraded {
            let ratios = divergence(of: scored, policy: policy(of: scored, current: current))
            statistics.add(logRatios: ratios, clampedBy: logRatio)
        }
        return gradient
    }
}
