import Distillation
import TestSupport
import Testing

@Suite struct RewardTests {
    /// A response of a group with a reward, ungraded unless there are grades.
    private func response(
        _ group: UInt64, _ sample: UInt32, reward: Double?, behaviour: [Float] = [-1, -0.5], teacher: [Float] = []
    ) -> ScoredTrajectory {
        var scored = scored(behaviour: behaviour, teacher: teacher, group: group)
        scored.trajectory.id.sample = sample
        if teacher.isEmpty { scored.trajectory.teacher = nil }
        scored.verdict = reward.map { Verdict(reward: $0, passed: $0 == 1) }
        return scored
    }

    @Test func advantagesAreRelativeToTheGroup() {
        #expect(groupAdvantages(rewards: [1, 0, 0, 1], scale: .none) == [0.5, -0.5, -0.5, 0.5])
        #expect(groupAdvantages(rewards: [1, 1, 1], scale: .none) == [0, 0, 0])
        #expect(groupAdvantages(rewards: [1, 1, 1], scale: .deviation) == [0, 0, 0])
        #expect(groupAdvantages(rewards: [], scale: .none).isEmpty)
        let scaled = groupAdvantages(rewards: [1, 0, 0, 0], scale: .deviation)
        // Mean 0.25, deviation sqrt(3) / 4.
        let deviation = 3.0.squareRoot() / 4
        #expect(
            abs(scaled[0] - 0.75 / (deviation + 1e-4)) < 1e-12 && abs(scaled[1] + 0.25 / (deviation + 1e-4)) < 1e-12)
        #expect(abs(scaled.reduce(0, +)) < 1e-12)
    }

    @Test func everyGroupIsItsOwn() {
        let batch = [
            response(4, 0, reward: 1), response(4, 1, reward: 0), response(7, 0, reward: 0.5),
            response(7, 1, reward: 0.25), response(7, 2, reward: nil), response(9, 0, reward: 1),
        ]
        var objective = PolicyGradient(reward: RewardTerm(coefficient: 2))
        #expect(objective.rewardAdvantages(of: batch) == [1, -1, 0.25, -0.25, 0, 0])
        objective.reward = nil
        #expect(objective.rewardAdvantages(of: batch) == [0, 0, 0, 0, 0, 0])
    }

    /// Without a teacher and where all samples are equally good there is nothing to learn.
    @Test func equalRewardsTeachNothing() {
        let objective = PolicyGradient(loss: .ppoClip(low: 0.2, high: 0.2), reward: RewardTerm(coefficient: 1))
        let batch = [response(1, 0, reward: 1), response(1, 1, reward: 1)]
        var statistics = BatchStatistics()
        for (scored, reward) in zip(batch, objective.rewardAdvantages(of: batch)) {
            let gradient = objective.gradient(
                of: scored, current: [-3, -0.1], baseline: objective.baseline(of: batch), rewardAdvantage: reward,
                tokenCount: 4, version: 0, statistics: &statistics)
            #expect(gradient == [0, 0])
        }
        #expect(statistics.rewardMean == 1 && statistics.passRate == 1 && !statistics.isGraded)
    }

    /// On policy, a token's gradient is -(R - mean R) / N: REINFORCE with the group's mean as its baseline.
    @Test(arguments: LossTests.objectives) func onPolicyItIsThePolicyGradient(objective: PolicyGradient) {
        var objective = objective
        objective.reward = RewardTerm(coefficient: 1)
        let batch = [
            response(1, 0, reward: 1), response(1, 1, reward: 0), response(1, 2, reward: 0, behaviour: [-2]),
        ]
        var statistics = BatchStatistics()
        let gradients = zip(batch, objective.rewardAdvantages(of: batch)).map { scored, reward in
            objective.gradient(
                of: scored, current: scored.trajectory.behaviourLogprobs, baseline: 0, rewardAdvantage: reward,
                tokenCount: responseTokenCount(batch), version: 0, statistics: &statistics)
        }
        let third = Float(1.0 / 3 / 5)
        let expected: [[Float]] = [[-2 * third, -2 * third], [third, third], [third]]
        for (gradient, wanted) in zip(gradients, expected) {
            #expect(gradient.count == wanted.count)
            #expect(zip(gradient, wanted).allSatisfy { abs($0 - $1) < 1e-7 }, "\(gradient)")
        }
        #expect(statistics.ratioMean == 1 && statistics.rewardMean == 1.0 / 3)
    }

    /// The gradient of the whole batch is that of finite differences, for rewards alone and with grades.
    @Test(arguments: LossTests.objectives, RewardScale.allCases)
    func batchGradientMatchesFiniteDifferences(objective: PolicyGradient, scale: RewardScale) {
        for isGraded in [true, false] { expectSlopes(objective, isGraded, scale) }
    }

    private func expectSlopes(_ objective: PolicyGradient, _ isGraded: Bool, _ scale: RewardScale) {
        var objective = objective
        objective.reward = RewardTerm(coefficient: 0.8, scale: scale)
        objective.klCoefficient = 0.3
        let behaviours: [[Float]] = [[-1, -0.5, -2], [-0.25, -3], [-0.75, -1.5], [-0.1]]
        let teachers: [[Float]] = [[-0.5, -1, -1], [-1, -2], [-0.5, -0.5], [-2]]
        let rewards = [1, 0.25, 0, 1], groups: [UInt64] = [2, 2, 5, 5]
        let batch = behaviours.indices.map { index in
            response(
                groups[index], UInt32(index % 2), reward: rewards[index], behaviour: behaviours[index],
                teacher: isGraded ? teachers[index] : [])
        }
        let current: [[Float]] = [[-1.25, -0.25, -1], [-0.5, -2.5], [-0.5, -1.75], [-0.4]]
        let reward = objective.rewardAdvantages(of: batch)
        let count = responseTokenCount(batch)
        func loss(_ s: [[Double]]) -> Double {
            var sum = 0.0
            for index in batch.indices {
                let constants = objective.advantages(of: batch[index], current: current[index])
                for (place, value) in s[index].enumerated() {
                    let ratio = exponential(value - Double(behaviours[index][place]))
                    sum += objective.loss.token(ratio: ratio, advantage: constants[place] + reward[index]).value
                }
            }
            return sum / Double(count)
        }
        var statistics = BatchStatistics()
        let point = current.map { $0.map(Double.init) }
        for index in batch.indices {
            let gradient = objective.gradient(
                of: batch[index], current: current[index], baseline: 0, rewardAdvantage: reward[index],
                tokenCount: count, version: 0, statistics: &statistics)
            let slopes = finiteDifferences(at: point[index], width: 1e-6) { s in
                var moved = point
                moved[index] = s
                return loss(moved)
            }
            #expect(gradient.map(Double.init).distance(to: slopes) < 1e-6, "\(index)")
        }
        #expect(abs(statistics.loss - loss(point)) < 1e-6)
        #expect(statistics.isGraded == isGraded)
    }
}
