import Distillation
import Testing

@Suite struct GivenResponsesTests {
    private let examples = [
        SupervisedExample(promptIDs: [1], responseIDs: [4, 5, 6]), SupervisedExample(promptIDs: [2], responseIDs: [7]),
    ]
    private let current: [[Float]] = [[-1, -0.25, -3], [-0.5]]

    /// With a coefficient of 1 it is the cross-entropy of a supervised run, to the last bit.
    @Test func alone() throws {
        let given = try #require(GivenResponses(examples, coefficient: 1))
        var statistics = BatchStatistics(), expected = BatchStatistics()
        for s in current {
            #expect(
                given.gradient(current: s, statistics: &statistics)
                    == crossEntropyGradient(current: s, tokenCount: 4, statistics: &expected))
        }
        #expect(statistics.loss == 4.75 / 4 && statistics.givenCrossEntropy == 4.75 / 4)
        // It counts no tokens of its own: those of a step are the sampled ones.
        #expect(statistics.tokens == 0 && expected.givenCrossEntropy == nil)
    }

    /// The loss of a step is the sum of both parts, each divided by its own number of tokens.
    @Test func eachPartHasItsOwnNumberOfTokens() throws {
        let given = try #require(GivenResponses(examples, coefficient: 0.5))
        let batch = [scored(behaviour: [-1, -2], teacher: [-2, -2.5]), scored(behaviour: [-1], teacher: [-4])]
        func statistics(withGiven: Bool) -> BatchStatistics {
            var statistics = BatchStatistics()
            for response in batch {
                _ = PolicyGradient().gradient(
                    of: response, current: response.trajectory.behaviourLogprobs, baseline: 0, tokenCount: 3,
                    version: 0,
                    statistics: &statistics)
            }
            if withGiven { for s in current { _ = given.gradient(current: s, statistics: &statistics) } }
            return statistics
        }
        let plain = statistics(withGiven: false), both = statistics(withGiven: true)
        #expect(abs(plain.loss - 1.5) < 1e-12 && abs(both.loss - (1.5 + 0.5 * 4.75 / 4)) < 1e-12)
        #expect(both.teacherKL == plain.teacherKL && both.tokens == 3 && both.ratioMean == 1)
    }

    /// dL/ds by differences of the loss.
    @Test(arguments: [0.25, 1, 3]) func gradientsAreSlopes(coefficient: Double) throws {
        let given = try #require(GivenResponses(examples, coefficient: coefficient))
        func loss(_ values: [[Float]]) -> Double {
            var statistics = BatchStatistics()
            for s in values { _ = given.gradient(current: s, statistics: &statistics) }
            return statistics.loss
        }
        for (index, s) in current.enumerated() {
            var statistics = BatchStatistics()
            let gradient = given.gradient(current: s, statistics: &statistics)
            for token in s.indices {
                var (above, below) = (current, current)
                above[index][token] += 0.125
                below[index][token] -= 0.125
                #expect(abs((loss(above) - loss(below)) / 0.25 - Double(gradient[token])) < 1e-6)
            }
        }
    }

    @Test func nothingIsNoPart() {
        #expect(GivenResponses([], coefficient: 1) == nil && GivenResponses(examples, coefficient: 0) == nil)
    }
}
