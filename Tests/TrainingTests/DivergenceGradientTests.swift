import Compute
import Distillation
import Generation
import Models
import Testing
import Tokens
import Training
import Transformers

/// Divergences of whole distributions, from a teacher's listed tokens to the gradients of every parameter.
@Suite struct DivergenceGradientTests {
    static let divergences: [Divergence] = [
        .reverseKL, .forwardKL, .jensenShannon(beta: 0.3), .skewKL(skew: 0.1), .skewReverseKL(skew: 0.2),
    ]

    private static let prompts: [[Int32]] = [[5, 9, 2], [5, 9, 2], [40, 1]]
    private static let responses: [[Int32]] = [[7, 31, 8, 3], [12, 4], [6, 6, 17, 29, 30, 2]]

    static func model() throws -> ModelFiles { try #require(GoldenCase.all.first).model() }

    static func trainer(budget: Int = 48, threads: Int = 1) throws -> Trainer {
        let files = try model()
        return try Trainer(
            configuration: files.configuration, masters: ParameterBuffer(reading: files), type: .f32, threads: threads,
            tokenBudget: budget)
    }

    /// What a teacher lists: the student itself, its weights moved a little.
    static func grades(count: Int, moved: Float) throws -> [Grade] {
        let files = try model(), weights = try ParameterBuffer(reading: files)
        for entry in weights.layout.entries {
            let values = weights.tensor(entry)
            for index in 0..<values.count { values.f32[index] *= 1 + moved * Float(index % 7 - 3) }
        }
        let engine = ScoringEngine(
            model: LanguageModel(
                configuration: files.configuration, parameters: weights, type: .f32, context: ComputeContext(threads: 1)
            ))
        return try engine.grade(
            zip(prompts, responses).map { TokenSequence(promptIDs: $0, responseIDs: $1) },
            .top(count, below: Int32(files.configuration.vocabularySize)))
    }

    static func batch(_ grades: [Grade], temperature: Float = 1, rewards: [Double] = []) -> [ScoredTrajectory] {
        grades.indices.map { index in
            let count = responses[index].count
            let trajectory = Trajectory(
                id: RolloutID(group: 1, sample: UInt32(index)), kind: .train, teacher: "default",
                promptIDs: prompts[index], responseIDs: responses[index],
                behaviourLogprobs: [Float](repeating: -2, count: count),
                policyVersions: PolicyVersions(repeating: 0, count: count), finishReason: .stop,
                temperature: temperature)
            var scored = ScoredTrajectory(
                trajectory: trajectory, teacherLogprobs: grades[index].logprobs, top: grades[index].top,
                verdict: rewards.isEmpty ? nil : Verdict(reward: rewards[index], passed: false))
            scored.lists = grades[index].lists
            return scored
        }
    }

    /// The gradient of a batch into the trainer's, and what the step saw.
    static func compute(
        _ objective: Objective, _ batch: [ScoredTrajectory], _ trainer: Trainer
    ) -> (statistics: BatchStatistics, evaluations: [ResponseEvaluation]) {
        var statistics = BatchStatistics()
        let count = responseTokenCount(batch), rewards = objective.rewardAdvantages(of: batch)
        let sequences = batch.map { scored in
            let classes = objective.classes(of: scored)
            return TrainingSequence(
                scored.trajectory.tokens, temperature: scored.trajectory.temperature, classIDs: classes?.ids ?? [],
                classCounts: classes?.counts)
        }
        let evaluations = trainer.computeGradients(
            sequences,
            pulls: { index, evaluation in
                objective.pulls(
                    of: batch[index], current: evaluation.classes, tokenCount: count, statistics: &statistics)
            }
        ) { index, evaluation in
            objective.gradient(
                of: batch[index], current: evaluation.logprobs, baseline: 0, rewardAdvantage: rewards[index],
                tokenCount: count, version: 0, statistics: &statistics)
        }
        return (statistics, evaluations)
    }

    /// L by the reference functions, from the classes' log-probabilities alone.
    static func loss(
        _ divergence: Divergence, _ batch: [ScoredTrajectory], _ evaluations: [ResponseEvaluation]
    ) throws -> Double {
        var sum = 0.0
        for (scored, evaluation) in zip(batch, evaluations) {
            let top = try #require(scored.top), width = top.count + 1
            for position in top.tails.indices {
                let student = evaluation.classes[position * width..<(position + 1) * width].map(Double.init)
                sum += divergence.position(student: student, teacher: top.classes(at: position)).value
            }
        }
        return sum / Double(responseTokenCount(batch))
    }

    /// The slope of the loss along each parameter's gradient is that gradient's norm, few or many tokens being listed, at
    /// temperatures other than 1, with rewards beside.
    @Test(arguments: divergences, [(1, Float(1)), (5, 1), (5, 0.7), (40, 1)])
    func gradientsAreSlopes(divergence: Divergence, shape: (count: Int, temperature: Float)) throws {
        let batch = Self.batch(try Self.grades(count: shape.count, moved: 0.2), temperature: shape.temperature)
        try Self.expectSlopes(divergence, batch, loss: Self.loss)
    }

    /// Checks the gradients of a batch against the slopes of its loss.
    static func expectSlopes(
        _ divergence: Divergence, _ batch: [ScoredTrajectory],
        loss: (_ divergence: Divergence, [ScoredTrajectory], [ResponseEvaluation]) throws -> Double
    ) throws {
        let trainer = try Self.trainer()
        let objective = Objective.distribution(DistributionMatching(divergence))
        let (statistics, evaluations) = compute(objective, batch, trainer)
        let expected = try loss(divergence, batch, evaluations)
        #expect(abs(statistics.loss - expected) < 1e-9 && expected > 0.001, "\(statistics.loss) and \(expected)")
        #expect(abs((statistics.divergence ?? 0) - expected) < 1e-9)
        let slopes = trainer.gradients.layout.entries.map { trainer.gradients.tensor($0).floats() }
        var checked = 0
        for (entry, direction) in zip(trainer.masters.layout.entries, slopes) {
            let norm = direction.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            guard norm > 1e-3 else { continue }
            let values = trainer.masters.tensor(entry), original = values.floats()
            let width = min(1e-2, 2e-3 / norm)
            func lossAt(_ offset: Double) throws -> Double {
                for index in original.indices {
                    values.f32[index] = Float(Double(original[index]) + offset * Double(direction[index]) / norm)
                }
                trainer.repack()
                return try loss(divergence, batch, compute(objective, batch, trainer).evaluations)
            }
            func quotient(_ width: Double) throws -> Double { (try lossAt(width) - lossAt(-width)) / (2 * width) }
            // Richardson's extrapolation: what grows with the square of the width goes.
            let slope = (4 * (try quotient(width / 2)) - (try quotient(width))) / 3
            _ = try lossAt(0)
            #expect(abs(slope - norm) < 0.015 * norm + 3e-4, "\(entry.spec.name): \(slope) and \(norm)")
            checked += 1
        }
        #expect(checked > 5)
    }

    /// A teacher that is the student leaves nothing to learn, to the last bit; another one does.
    @Test(arguments: divergences) func aTeacherLikeTheStudentTeachesNothing(divergence: Divergence) throws {
        let objective = Objective.distribution(DistributionMatching(divergence))
        func squares(moved: Float) throws -> (Double, BatchStatistics) {
            let trainer = try Self.trainer()
            let (statistics, _) = Self.compute(objective, Self.batch(try Self.grades(count: 8, moved: moved)), trainer)
            return (trainer.context.sumOfSquares(trainer.gradients.flat), statistics)
        }
        let same = try squares(moved: 0), other = try squares(moved: 0.2)
        #expect(same.0 == 0 && same.1.divergence == 0 && same.1.loss == 0)
        #expect(other.0 > 1e-6 && (other.1.divergence ?? 0) > 0.001)
        #expect(same.1.tail == same.1.teacherTail && (same.1.tail ?? 0) > 0)
    }

    /// Parts of a batch, threads, and memory for logits change no bit of the forward pass; threads none of the gradient.
    @Test func bitsDependOnTheBatchAlone() throws {
        let objective = Objective.distribution(DistributionMatching(.jensenShannon(beta: 0.5)))
        let batch = Self.batch(try Self.grades(count: 6, moved: 0.2))
        func run(budget: Int, threads: Int, keeps: Bool = true) throws -> ([[Float]], [Float]) {
            let trainer = try Self.trainer(budget: budget, threads: threads)
            if !keeps { trainer.mostLogitRows = 0 }
            let (_, evaluations) = Self.compute(objective, batch, trainer)
            return (evaluations.map(\.classes), trainer.gradients.flat.floats())
        }
        let one = try run(budget: 48, threads: 1), two = try run(budget: 48, threads: 2)
        let cut = try run(budget: 6, threads: 1), again = try run(budget: 48, threads: 1, keeps: false)
        #expect(one.0 == two.0 && one.0 == cut.0 && one.0 == again.0)
        #expect(one.1 == two.1)
        for other in [cut.1, again.1] {
            let worst = zip(one.1, other).map { abs($0 - $1) }.max() ?? 1
            #expect(worst < 1e-5, "\(worst)")
        }
    }

    /// A mixed batch: the rewards' part is that of the policy gradient alone, added to the divergence's.
    @Test func rewardsAddToTheDivergence() throws {
        let rewards = PolicyGradient(reward: RewardTerm(coefficient: 1.5))
        let batch = Self.batch(try Self.grades(count: 6, moved: 0.2), rewards: [1, 0, 0.25])
        var alone = rewards
        alone.klCoefficient = 0
        func gradient(_ objective: Objective) throws -> [Float] {
            let trainer = try Self.trainer()
            _ = Self.compute(objective, batch, trainer)
            return trainer.gradients.flat.floats()
        }
        let sum = zip(
            try gradient(.distribution(DistributionMatching(.reverseKL))), try gradient(.policyGradient(alone))
        ).map(+)
        let mixed = try gradient(.distribution(DistributionMatching(.reverseKL, rewards: rewards)))
        let scale = sum.map(abs).max() ?? 0
        #expect(scale > 1e-3 && zip(sum, mixed).allSatisfy { abs($0 - $1) < 1e-5 * max(1, scale) })
    }
}
