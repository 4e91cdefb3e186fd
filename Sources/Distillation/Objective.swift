import Glibc

/// What a training step minimises over the response tokens of its batch.
///
/// L = (1/N) sum_i loss(exp(s_i - b_i), A_i), N being the number of response tokens of the whole batch. Prompt tokens
/// carry no loss.
package struct Objective: Sendable, Equatable, Codable {
    package var loss: LossKind
    package var advantage: AdvantageKind
    package var baseline: BaselineKind
    /// Scale of the reverse KL in the advantage; at least 0.
    package var klCoefficient: Double
    /// Discount of later tokens' reverse KL, 0 ... 1; 0: each token answers for itself.
    package var klDiscount: Double
    /// PPO clip: the ratio is bounded to 1 - clipLow ... 1 + clipHigh.
    package var clipLow: Double
    package var clipHigh: Double
    /// Truncated importance sampling: bound of the ratio's weight; at least 1.
    package var truncation: Double
    /// Scale of the group-relative reward in the advantage; 0: rewards are only measured.
    package var rewardCoefficient: Double
    package var rewardScale: RewardScale
    /// Whether responses are imitated, by their cross-entropy, whoever sampled them: then nothing else here counts.
    package var imitates: Bool

    package init(
        loss: LossKind = .importanceSampling, advantage: AdvantageKind = .behaviour,
        baseline: BaselineKind = .none, klCoefficient: Double = 1, klDiscount: Double = 0, clipLow: Double = 0.2,
        clipHigh: Double = 0.2, truncation: Double = 2, rewardCoefficient: Double = 0, rewardScale: RewardScale = .none,
        imitates: Bool = false
    ) {
        self.loss = loss
        self.advantage = advantage
        self.baseline = baseline
        self.klCoefficient = klCoefficient
        self.klDiscount = klDiscount
        self.clipLow = clipLow
        self.clipHigh = clipHigh
        self.truncation = truncation
        self.rewardCoefficient = rewardCoefficient
        self.rewardScale = rewardScale
        self.imitates = imitates
    }

    /// Advantages of one response by its teacher: constants of the loss, 0 where no teacher grades.
    /// - Parameter current: s, log-probabilities under the weights that are trained; used when `advantage` is `current`.
    package func advantages(of scored: ScoredTrajectory, current: [Float]) -> [Double] {
        advantages(of: scored, policy: advantage == .behaviour ? scored.trajectory.behaviourLogprobs : current)
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
        return Distillation.advantages(
            reverseKL: reverseKL(policy: policy, teacher: scored.teacherLogprobs), coefficient: klCoefficient,
            discount: klDiscount)
    }

    /// The temperature of s: what is imitated is learnt at 1, however it was sampled.
    package func temperature(of trajectory: Trajectory) -> Float { imitates ? 1 : trajectory.temperature }

    /// Loss and gradient of one token, before normalisation.
    package func tokenLoss(ratio: Double, advantage: Double) -> TokenLoss {
        switch loss {
        case .importanceSampling:
            importanceSamplingLoss(ratio: ratio, advantage: advantage)
        case .ppoClip:
            ppoClipLoss(ratio: ratio, advantage: advantage, low: clipLow, high: clipHigh)
        case .truncatedImportanceSampling:
            truncatedImportanceSamplingLoss(ratio: ratio, advantage: advantage, bound: truncation)
        }
    }

    /// dL/ds of every response token of one trajectory, already divided by N; statistics are added to `statistics`.
    ///
    /// A trainer calls it once a trajectory, in batch order, between its forward pass (which gives s) and its backward
    /// pass (which takes these as the derivative of the loss with respect to each sampled token's log-probability).
    /// - Parameters:
    ///   - current: s, one a response token, at `temperature(of:)` the trajectory.
    ///   - baseline: B, `baseline(of:)` the whole batch.
    ///   - rewardAdvantage: of this trajectory, `rewardAdvantages(of:)` the whole batch.
    ///   - tokenCount: N, response tokens of the whole batch (`responseTokenCount`).
    ///   - version: completed steps before this one, from which staleness is counted.
    package func gradient(
        of scored: ScoredTrajectory, current: [Float], baseline: Double, rewardAdvantage: Double = 0, tokenCount: Int,
        version: UInt64, statistics: inout BatchStatistics
    ) -> [Float] {
        if imitates {
            // Weights that never change are never stale.
            statistics.add(scored, version: scored.trajectory.policyVersions.newest ?? 0)
            return crossEntropyGradient(current: current, tokenCount: tokenCount, statistics: &statistics)
        }
        let behaviour = scored.trajectory.behaviourLogprobs
        precondition(current.count == behaviour.count, "one log-probability a response token")
        let constants = advantages(of: scored, current: current)
        let scale = 1 / Double(max(tokenCount, 1))
        var gradient = [Float](repeating: 0, count: current.count)
        for index in current.indices {
            let ratio = importanceRatio(current: current[index], behaviour: behaviour[index])
            let token = tokenLoss(ratio: ratio, advantage: constants[index] - baseline + rewardAdvantage)
            gradient[index] = Float(token.gradient * scale)
            statistics.add(token, ratio: ratio)
        }
        statistics.add(scored, version: version)
        return gradient
    }
}

/// N: the response tokens of a batch.
package func responseTokenCount(_ batch: [ScoredTrajectory]) -> Int {
    batch.reduce(0) { $0 + $1.trajectory.responseIDs.count }
}
