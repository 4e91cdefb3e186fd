import Distillation
import Testing

/// What people are shown of single tokens is what the loss was made of.
@Suite struct TokenMeasuresTests {
    private func scored(_ sample: UInt32, behaviour: [Float], teacher: [Float], reward: Double) -> ScoredTrajectory {
        let trajectory = Trajectory(
            id: RolloutID(group: 3, sample: sample), kind: .train, teacher: "default", promptIDs: [1],
            responseIDs: behaviour.indices.map { Int32($0) }, behaviourLogprobs: behaviour,
            policyVersions: PolicyVersions(behaviour.map { _ in 0 }), finishReason: .stop, temperature: 1)
        return ScoredTrajectory(
            trajectory: trajectory, teacherLogprobs: teacher, verdict: Verdict(reward: reward, passed: reward > 0))
    }

    private var batch: [ScoredTrajectory] {
        [
            scored(0, behaviour: [-0.5, -1, -2], teacher: [-0.75, -0.5, -6], reward: 1),
            scored(1, behaviour: [-0.125, -3], teacher: [-0.25, -1], reward: 0),
        ]
    }
    private let readings = [
        TokenReadings(logprobs: [-0.4, -1.5, -2], entropies: [0.5, 1.5, 0]),
        TokenReadings(logprobs: [-0.25, -2.5], entropies: [2, 0.25]),
    ]

    /// dL/ds = -r A / N is the gradient of this loss, so that both numbers are those that it had.
    @Test(arguments: [AdvantageKind.behaviour, .current]) func theyAreThoseOfTheGradient(_ kind: AdvantageKind) {
        let objective = Objective.policyGradient(
            PolicyGradient(
                advantage: kind, baseline: .batchMean, klCoefficient: 0.5, klDiscount: 0.25,
                reward: RewardTerm(coefficient: 2)))
        let batch = batch, rewards = objective.rewardAdvantages(of: batch)
        let measured = objective.measured(batch, readings, first: 8)
        #expect(measured.count == 2 && rewards[0] != 0)
        for (index, scored) in measured.enumerated() {
            let measures = scored.measures
            #expect(measures?.entropies == readings[index].entropies)
            var statistics = BatchStatistics()
            let gradient = objective.gradient(
                of: batch[index], current: readings[index].logprobs, baseline: objective.baseline(of: batch),
                rewardAdvantage: rewards[index], tokenCount: 5, version: 0, statistics: &statistics)
            let product = zip(measures?.ratios ?? [], measures?.advantages ?? []).map { -$0 * $1 / 5 }
            #expect(product.count == gradient.count)
            for (a, b) in zip(product, gradient) { #expect(abs(a - b) < 1e-6, "\(a) \(b)") }
        }
        #expect(abs((measured[0].measures?.ratios[0] ?? 0) - 1.1051709) < 1e-6)
    }

    @Test func whatALossDoesNotHaveIsAbsent() {
        let imitated = Objective.imitation.measured(batch, readings, first: 1)
        #expect(imitated.count == 1 && imitated[0].measures == TokenMeasures(entropies: [0.5, 1.5, 0]))
        let matched = Objective.distribution(DistributionMatching(.reverseKL)).measured(batch, readings, first: 2)
        #expect(matched[1].measures?.ratios.count == 2 && matched[1].measures?.advantages == [])
        // An engine that tells nothing of them.
        let untold = Objective.policyGradient(PolicyGradient()).measured(batch, [], first: 2)
        #expect(untold.map(\.measures) == [nil, nil])
    }
}
