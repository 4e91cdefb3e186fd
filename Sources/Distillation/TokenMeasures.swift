/// What a trainer finds at the sampled tokens of one response, under the weights that it trains.
package struct TokenReadings: Sendable, Equatable {
    /// s, in nats.
    package var logprobs: [Float]
    /// Entropy of the distribution that s is of, in nats.
    package var entropies: [Float]

    package init(logprobs: [Float], entropies: [Float]) {
        self.logprobs = logprobs
        self.entropies = entropies
    }
}

/// What a step has measured at the sampled tokens of one response, for people to look at.
package struct TokenMeasures: Sendable, Equatable {
    /// Entropy of the weights that were trained, before the step, in nats.
    package var entropies: [Float]
    /// r = exp(s - b); none where the response is imitated, whoever sampled it.
    package var ratios: [Float] = []
    /// A, as the loss has it: less the batch's baseline, and with the reward's part; none where the loss has no advantages.
    package var advantages: [Float] = []

    package init(entropies: [Float], ratios: [Float] = [], advantages: [Float] = []) {
        self.entropies = entropies
        self.ratios = ratios
        self.advantages = advantages
    }
}

extension Objective {
    /// The first responses of a batch, with what the step that trained on it has measured at their tokens.
    /// - Parameters:
    ///   - batch: all of it, for the baseline and the rewards are the batch's.
    ///   - readings: of the batch's responses in their order; a response without any gets no measures.
    package func measured(
        _ batch: [ScoredTrajectory], _ readings: [TokenReadings], first count: Int
    ) -> [ScoredTrajectory] {
        let baseline = baseline(of: batch), rewards = rewardAdvantages(of: batch)
        return batch.prefix(count).enumerated().map { index, scored in
            guard readings.indices.contains(index) else { return scored }
            var scored = scored
            scored.measures = measures(of: scored, readings[index], baseline: baseline, rewardAdvantage: rewards[index])
            return scored
        }
    }

    private func measures(
        of scored: ScoredTrajectory, _ readings: TokenReadings, baseline: Double, rewardAdvantage: Double
    ) -> TokenMeasures {
        var measures = TokenMeasures(entropies: readings.entropies)
        guard !imitates else { return measures }
        measures.ratios = zip(readings.logprobs, scored.trajectory.behaviourLogprobs).map {
            Float(importanceRatio(current: $0, behaviour: $1))
        }
        switch self {
        case .imitation: break
        case .policyGradient(let method):
            measures.advantages = method.advantages(of: scored, current: readings.logprobs).map {
                Float($0 - baseline + rewardAdvantage)
            }
        case .distribution(let method):
            // The teacher's part is no advantage there: it pulls at whole distributions.
            guard method.rewards != nil else { break }
            measures.advantages = readings.logprobs.map { _ in Float(rewardAdvantage) }
        }
        return measures
    }
}
