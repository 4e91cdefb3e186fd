import Distillation
import Testing
import Tokens

/// What an environment says within a response is in no sum.
@Suite struct GivenTokenStatisticsTests {
    @Test func predictedTokensAreFoundAndSpread() {
        let tokens = TokenSequence(promptIDs: [1], responseIDs: [0, 1, 2, 3, 4, 5, 6], given: [1..<3, 5..<6])
        #expect(tokens.predictedCount == 4 && tokens.predicted == [0..<1, 3..<5, 6..<7] && tokens.flawOfGiven == nil)
        #expect(tokens.ofPredicted(tokens.responseIDs) == [0, 3, 4, 6])
        #expect(tokens.ofPredicted(Array(0..<14), each: 2) == [0, 1, 6, 7, 8, 9, 12, 13])
        #expect(tokens.spread([10, 11, 12, 13], filler: 0) == [10, 0, 0, 11, 12, 0, 13])
        let plain = TokenSequence(promptIDs: [1], responseIDs: [5, 6])
        #expect(plain.predictedCount == 2 && plain.ofPredicted([1, 2]) == [1, 2])
        #expect(plain.spread([1], filler: 0) == [1])
    }

    /// A batch with an environment's tokens has the loss, the gradient and the statistics of one without them.
    @Test(arguments: [0, 0.5]) func sumsAreThoseOfSampledTokensAlone(discount: Double) {
        func scored(_ ids: [Int32], given: [Range<Int>]) -> ScoredTrajectory {
            var trajectory = Trajectory(
                id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "t", promptIDs: [1], responseIDs: ids,
                behaviourLogprobs: [-1, -2, -0.5], policyVersions: [4, 4, 5], finishReason: .stop, temperature: 1)
            trajectory.tokens.given = given
            return ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [-2, -1, -0.25])
        }
        let method = Objective.policyGradient(PolicyGradient(baseline: .batchMean, klDiscount: discount))
        let results = [scored([7, 8, 9], given: []), scored([7, 1, 1, 8, 1, 9], given: [1..<3, 4..<5])].map {
            scored in
            var statistics = BatchStatistics()
            let gradient = method.gradient(
                of: scored, current: [-1.5, -1.5, -0.5], baseline: method.baseline(of: [scored]),
                tokenCount: responseTokenCount([scored]), version: 5, statistics: &statistics)
            return (gradient, statistics)
        }
        #expect(results[0] == results[1] && results[0].1.tokens == 3)
        #expect(results[1].1.mismatchMax == 0 && results[1].1.stalenessMean == 2.0 / 3)
    }
}
