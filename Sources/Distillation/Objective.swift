/// What a training step minimises over the response tokens of its batch.
///
/// L = (1/N) sum_i loss(exp(s_i - b_i), A_i), N being the number of response tokens of the whole batch. Prompt tokens
/// carry no loss.
public struct Objective: Sendable, Equatable, Codable {
    public var loss: LossKind
    public var advantage: AdvantageKind
    /// Scale of the reverse KL in the advantage; at least 0.
    public var klCoefficient: Double
    /// Discount of later tokens' reverse KL, 0 ... 1; 0: each token answers for itself.
    public var klDiscount: Double
    /// PPO clip: the ratio is bounded to 1 - clipLow ... 1 + clipHigh.
    public var clipLow: Double
    public var clipHigh: Double
    /// Truncated importance sampling: bound of the ratio's weight; at least 1.
    public var truncation: Double

    public init(
        loss: LossKind = .importanceSampling, advantage: AdvantageKind = .behaviour, klCoefficient: Double = 1,
        klDiscount: Double = 0, clipLow: Double = 0.2, clipHigh: Double = 0.2, truncation: Double = 2
    ) {
        self.loss = loss
        self.advantage = advantage
        self.klCoefficient = klCoefficient
        self.klDiscount = klDiscount
        self.clipLow = clipLow
        self.clipHigh = clipHigh
        self.truncation = truncation
    }

    /// Advantages of one response: constants of the loss.
    /// - Parameter current: s, log-probabilities under the weights that are trained; used when `advantage` is `current`.
    public func advantages(of scored: ScoredTrajectory, current: [Float]) -> [Double] {
        let policy = advantage == .behaviour ? scored.trajectory.behaviourLogprobs : current
        return Distillation.advantages(
            reverseKL: reverseKL(policy: policy, teacher: scored.teacherLogprobs), coefficient: klCoefficient,
            discount: klDiscount)
    }

    /// Loss and gradient of one token, before normalisation.
    public func tokenLoss(ratio: Double, advantage: Double) -> TokenLoss {
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
    ///   - current: s, one a response token, at the trajectory's temperature.
    ///   - tokenCount: N, response tokens of the whole batch (`responseTokenCount`).
    ///   - version: completed steps before this one, from which staleness is counted.
    public func gradient(
        of scored: ScoredTrajectory, current: [Float], tokenCount: Int, version: UInt64,
        statistics: inout BatchStatistics
    ) -> [Float] {
        let behaviour = scored.trajectory.behaviourLogprobs
        precondition(current.count == behaviour.count, "one log-probability a response token")
        let constants = advantages(of: scored, current: current)
        let scale = 1 / Double(max(tokenCount, 1))
        var gradient = [Float](repeating: 0, count: current.count)
        for index in current.indices {
            let ratio = importanceRatio(current: current[index], behaviour: behaviour[index])
            let token = tokenLoss(ratio: ratio, advantage: constants[index])
            gradient[index] = Float(token.gradient * scale)
            statistics.add(token, ratio: ratio)
        }
        statistics.add(scored, version: version)
        return gradient
    }
}

/// N: the response tokens of a batch.
public func responseTokenCount(_ batch: [ScoredTrajectory]) -> Int {
    batch.reduce(0) { $0 + $1.trajectory.responseIDs.count }
}
