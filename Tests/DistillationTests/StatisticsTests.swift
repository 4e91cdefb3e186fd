import Distillation
import Randomness
import Testing

@Suite struct StatisticsTests {
    @Test func countsWhatABatchHolds() {
        var statistics = BatchStatistics()
        let objective = PolicyGradient(loss: .truncated(bound: 1.5))
        let batch = [
            scored(behaviour: [-1, -1], teacher: [-1.5, -1], versions: [3, 4], finish: .length),
            scored(behaviour: [-2, -2, -2, -2], teacher: [-3, -3, -3, -3], versions: [5, 5, 5, 5]),
        ]
        let current: [[Float]] = [[-1, 0], [-2, -2, -2, -2]]
        for (response, s) in zip(batch, current) {
            _ = objective.gradient(
                of: response, current: s, baseline: 0, tokenCount: 6, version: 5, statistics: &statistics)
        }
        statistics.add(entropies: [1, 2])
        #expect(statistics.tokens == 6 && statistics.trajectories == 2)
        #expect(abs(statistics.teacherKL - 4.5 / 6) < 1e-12)
        #expect(statistics.stalenessMax == 2)
        #expect(statistics.stalenessMean == 0.5)
        #expect(statistics.truncatedFraction == 0.5)
        #expect(statistics.responseLengthMean == 3)
        #expect(statistics.clipFraction == 1.0 / 6)
        #expect(abs(statistics.ratioMax - 2.718281828459045) < 1e-12)
        #expect(statistics.entropy == 1.5)
        // Tokens of older weights say nothing about how alike two engines compute.
        #expect(statistics.mismatchMean == 0 && statistics.mismatchMax == 0)
    }

    /// Where the weights being trained have sampled, s and b would be equal, did both engines compute alike.
    @Test func mismatchIsThatOfThePresentWeights() {
        var statistics = BatchStatistics()
        #expect(statistics.mismatchMean == nil && statistics.mismatchMax == nil)
        let response = scored(behaviour: [-1, -2, -3], teacher: [-1, -1, -1], versions: [4, 5, 5])
        _ = PolicyGradient().gradient(
            of: response, current: [-9, -2.5, -2], baseline: 0, tokenCount: 3, version: 5, statistics: &statistics)
        #expect(statistics.mismatchMean == 0.75 && statistics.mismatchMax == 1)
        let exact = TrainingMetrics(statistics, gradNorm: 0, learningRate: 0)
        #expect(exact.mismatchMean == nil && exact.mismatchMax == nil)
        let inexact = TrainingMetrics(statistics, gradNorm: 0, learningRate: 0, isExact: false)
        #expect(inexact.mismatchMean == 0.75 && inexact.mismatchMax == 1)
    }

    @Test func emptyBatchHasFiniteStatistics() {
        let statistics = BatchStatistics()
        #expect(statistics.loss == 0 && statistics.teacherKL == 0 && statistics.ratioMean == 0)
        #expect(statistics.entropy == nil)
    }

    @Test func evaluationIsATokenMean() {
        let evaluation = EvaluationMetrics([
            scored(behaviour: [-1], teacher: [-2]), scored(behaviour: [0, 0, 0], teacher: [0, 0, 0], finish: .length),
        ])
        #expect(evaluation.teacherKL == 0.25)
        #expect(evaluation.responses == 2 && evaluation.tokens == 4 && evaluation.truncatedFraction == 0.5)
    }
}

@Suite struct PromptOrderTests {
    @Test(arguments: [1, 2, 7, 400]) func everyPassHoldsEveryPromptOnce(count: Int) {
        var order = PromptOrder(count: count, seed: 5)
        for pass in 0..<3 {
            let drawn = (0..<count).map { order.index(of: UInt64(pass * count + $0)) }
            #expect(drawn.sorted() == Array(0..<count))
        }
    }

    @Test func passesAndSeedsDiffer() {
        func draw(seed: UInt64, pass: UInt64) -> [Int] {
            var order = PromptOrder(count: 50, seed: seed)
            return (0..<50).map { order.index(of: pass * 50 + $0) }
        }
        #expect(draw(seed: 1, pass: 0) != draw(seed: 1, pass: 1))
        #expect(draw(seed: 1, pass: 0) != draw(seed: 2, pass: 0))
        #expect(draw(seed: 1, pass: 0) != Array(0..<50))
    }

    /// A resumed run asks from the middle, and out of order.
    @Test func orderDoesNotDependOnTheQuestionsAskedBefore() {
        var forwards = PromptOrder(count: 9, seed: 3)
        let expected = (0..<200).map { forwards.index(of: UInt64($0)) }
        for start in stride(from: 199, through: 0, by: -7) {
            var fresh = PromptOrder(count: 9, seed: 3)
            #expect(fresh.index(of: UInt64(start)) == expected[start])
            #expect(forwards.index(of: UInt64(start)) == expected[start])
        }
    }

    @Test func seedsOfTasksAreDistinct() {
        let seeds = (0..<1000).flatMap {
            [TaskSeed.training(run: 1, group: UInt64($0)), TaskSeed.evaluation(run: 1, prompt: $0)]
        }
        #expect(Set(seeds).count == seeds.count)
        #expect(TaskSeed.training(run: 1, group: 0) != TaskSeed.training(run: 2, group: 0))
    }

    @Test func integersAreInRangeAndSpread() {
        let random = CounterRandom(key: 1, 2)
        var counts = [Int](repeating: 0, count: 10)
        for counter in 0..<10_000 { counts[Int(random.integer(below: 10, UInt64(counter)))] += 1 }
        #expect(counts.allSatisfy { $0 > 850 && $0 < 1150 })
    }
}
