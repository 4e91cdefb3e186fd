import Compute
import Distillation
import Models
import Testing
import Training
import Transformers

/// The gradients of whole objectives, through the model: the slope of the loss along each parameter's own gradient is
/// that gradient's norm.
@Suite struct ObjectiveGradientTests {
    private func trainer() throws -> Trainer {
        let golden = try #require(GoldenCase.all.first)
        let files = try golden.model()
        return try Trainer(
            configuration: files.configuration, masters: ParameterBuffer(reading: files), type: .f32, threads: 1,
            tokenBudget: 48)
    }

    private let sequences = [
        TrainingSequence(promptIDs: [5, 9, 2], responseIDs: [7, 31, 8, 3]),
        TrainingSequence(promptIDs: [5, 9, 2], responseIDs: [12, 4]),
        TrainingSequence(promptIDs: [40, 1], responseIDs: [6, 6, 17, 29, 30, 2]),
    ]

    /// - Parameters:
    ///   - gradient: dL/ds of one sequence.
    ///   - loss: L, from s of all sequences.
    private func expectSlopes(
        _ gradient: (_ index: Int, _ current: [Float]) -> [Float], _ loss: ([[Float]]) -> Double
    ) throws {
        let trainer = try trainer()
        func evaluate() -> [[Float]] {
            trainer.computeGradients(sequences) { gradient($0, $1.logprobs) }.map(\.logprobs)
        }
        _ = evaluate()
        let slopes = trainer.gradients.layout.entries.map { trainer.gradients.tensor($0).floats() }
        var checked = 0
        for (entry, direction) in zip(trainer.masters.layout.entries, slopes) {
            let norm = direction.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            guard norm > 1e-3 else { continue }
            let values = trainer.masters.tensor(entry), original = values.floats()
            // Wide enough for f32, narrow enough for a straight line.
            let width = min(2e-2, 4e-3 / norm)
            func lossAt(_ offset: Double) -> Double {
                for index in original.indices {
                    values.f32[index] = Float(Double(original[index]) + offset * Double(direction[index]) / norm)
                }
                trainer.repack()
                return loss(evaluate())
            }
            let slope = (lossAt(width) - lossAt(-width)) / (2 * width)
            _ = lossAt(0)
            #expect(abs(slope - norm) < 0.01 * norm + 2e-4, "\(entry.spec.name): \(slope) and \(norm)")
            checked += 1
        }
        #expect(checked > 10)
    }

    /// Rewards and a PPO clip, off policy enough that some ratios are clipped; with grades and without.
    @Test(arguments: [true, false]) func rewardsHaveTheirGradient(isGraded: Bool) throws {
        let objective = PolicyGradient(
            loss: .ppoClip(low: 0.2, high: 0.2), klCoefficient: 0.2, reward: RewardTerm(coefficient: 1.5))
        let start = try trainer().computeGradients(sequences) { _, evaluation in
            evaluation.logprobs.map { _ in 0 }
        }
        let offsets: [Float] = [0.05, -0.4, 0.5, -0.1, 0.3]
        let batch = sequences.indices.map { index -> ScoredTrajectory in
            let behaviour = start[index].logprobs.enumerated().map { $1 + offsets[(index + $0) % offsets.count] }
            let trajectory = Trajectory(
                id: RolloutID(group: 1, sample: UInt32(index)), kind: .train, teacher: isGraded ? "default" : nil,
                promptIDs: sequences[index].promptIDs, responseIDs: sequences[index].responseIDs,
                behaviourLogprobs: behaviour, policyVersions: PolicyVersions(repeating: 0, count: behaviour.count),
                finishReason: .stop,
                temperature: 1)
            let grades = behaviour.map { $0 * 0.9 }
            return ScoredTrajectory(
                trajectory: trajectory, teacherLogprobs: isGraded ? grades : [],
                verdict: Verdict(reward: index == 1 ? 1 : 0.25, passed: index == 1))
        }
        let rewards = objective.rewardAdvantages(of: batch), count = responseTokenCount(batch)
        try expectSlopes { index, current in
            var statistics = BatchStatistics()
            return objective.gradient(
                of: batch[index], current: current, baseline: 0, rewardAdvantage: rewards[index], tokenCount: count,
                version: 0, statistics: &statistics)
        } _: { logprobs in
            var sum = 0.0
            for (index, scored) in batch.enumerated() {
                let constants = objective.advantages(of: scored, current: logprobs[index])
                for (place, s) in logprobs[index].enumerated() {
                    let ratio = importanceRatio(current: s, behaviour: scored.trajectory.behaviourLogprobs[place])
                    sum += objective.loss.token(ratio: ratio, advantage: constants[place] + rewards[index]).value
                }
            }
            return sum / Double(count)
        }
    }

    @Test func crossEntropyHasItsGradient() throws {
        let count = sequences.reduce(0) { $0 + $1.responseIDs.count }
        try expectSlopes { _, current in
            var statistics = BatchStatistics()
            return crossEntropyGradient(current: current, tokenCount: count, statistics: &statistics)
        } _: { logprobs in
            -logprobs.joined().reduce(0.0) { $0 + Double($1) } / Double(count)
        }
    }
}
