import Distillation
import Foundation
import Testing

/// Mistakes that real systems made, each of which still "trains".
@Suite struct MethodTrapTests {
    static let objectives: [PolicyGradient] = LossKind.allCases.flatMap { kind in
        let loss: Loss =
            switch kind {
            case .importanceSampling: .importanceSampling
            case .ppoClip: .ppoClip(low: 0.2, high: 0.2)
            case .truncatedImportanceSampling: .truncated(bound: 2)
            }
        return AdvantageKind.allCases.flatMap { advantage in
            [LogRatioBounds(), LogRatioBounds(limit: 1), LogRatioBounds(teacherMix: 0.9)].map {
                PolicyGradient(loss: loss, advantage: advantage, logRatio: $0)
            }
        }
    }

    private func gradient(_ objective: PolicyGradient, _ response: ScoredTrajectory, current: [Float]) -> [Float] {
        var statistics = BatchStatistics()
        return objective.gradient(
            of: response, current: current, baseline: 0, tokenCount: current.count, version: 0, statistics: &statistics)
    }

    /// Differentiating k = s - t directly gives a gradient without the teacher in it.
    @Test(arguments: objectives) func anotherTeacherGivesAnotherGradient(objective: PolicyGradient) {
        let student: [Float] = [-1, -2, -0.5]
        let first = gradient(objective, scored(behaviour: student, teacher: [-0.5, -3, -0.25]), current: student)
        let second = gradient(objective, scored(behaviour: student, teacher: [-3, -0.5, -1]), current: student)
        #expect(first != second)
        // A token the teacher likes better than the student does becomes likelier: dL/ds < 0.
        #expect(first[0] < 0 && first[1] > 0 && second[0] > 0 && second[1] < 0)
    }

    @Test(arguments: objectives) func teacherEqualToStudentGivesNothingToLearn(objective: PolicyGradient) {
        let student: [Float] = [-1, -2.0000002, -0.5]
        let response = scored(behaviour: student, teacher: student)
        #expect(objective.advantages(of: response, current: student).allSatisfy { $0 == 0 })
        #expect(gradient(objective, response, current: student).allSatisfy { $0 == 0 })
    }

    /// A teacher shifted by one token is told apart from an aligned one.
    @Test func shiftedTeacherShowsInTheDivergence() {
        let student: [Float] = [-1, -2, -0.5, -0.25]
        var aligned = BatchStatistics()
        aligned.add(scored(behaviour: student, teacher: student), version: 0)
        var shifted = BatchStatistics()
        shifted.add(scored(behaviour: student, teacher: Array(student.dropFirst()) + [-1.5]), version: 0)
        #expect(aligned.teacherKL == 0)
        #expect(shifted.teacherKL != 0)
    }

    /// Plain importance sampling grows without bound on a stale token; clip and truncation hold it.
    @Test func staleRatiosAreBounded() {
        let response = scored(behaviour: [-6], teacher: [-1])
        let current: [Float] = [-1.5]
        let plain = gradient(PolicyGradient(advantage: .behaviour), response, current: current)[0]
        #expect(plain < -100)
        let clipped = gradient(PolicyGradient(loss: .ppoClip(low: 0.2, high: 0.2)), response, current: current)[0]
        #expect(clipped == 0)
        let truncated = gradient(
            PolicyGradient(loss: .truncated(bound: 2), advantage: .current), response,
            current: current)[0]
        #expect(truncated == -1)
    }

    @Test func currentAdvantageFollowsTheTrainedPolicy() {
        let response = scored(behaviour: [-3], teacher: [-1])
        #expect(PolicyGradient(advantage: .behaviour).advantages(of: response, current: [-2]) == [2])
        #expect(PolicyGradient(advantage: .current).advantages(of: response, current: [-2]) == [1])
        let half = PolicyGradient(advantage: .current, klCoefficient: 0.5)
        #expect(half.advantages(of: response, current: [-2]) == [0.5])
    }

    @Test func discountSumsLaterTokens() {
        let k = [1.0, 2, 4]
        #expect(advantages(reverseKL: k, coefficient: 1, discount: 0) == [-1, -2, -4])
        #expect(advantages(reverseKL: k, coefficient: 2, discount: 0.5) == [-6, -8, -8])
        #expect(advantages(reverseKL: k, coefficient: 1, discount: 1) == [-7, -6, -4])
        #expect(advantages(reverseKL: [], coefficient: 1, discount: 1) == [])
    }

    /// The mean is over the tokens of the batch, not over its responses.
    @Test func lossIsNormalisedByTokens() {
        let objective = PolicyGradient()
        let batch = [
            scored(behaviour: [-1], teacher: [-2]), scored(behaviour: [-1, -1, -1], teacher: [-2, -2, -2]),
        ]
        var statistics = BatchStatistics()
        let count = responseTokenCount(batch)
        let gradients = batch.flatMap {
            objective.gradient(
                of: $0, current: $0.trajectory.behaviourLogprobs, baseline: 0, tokenCount: count, version: 0,
                statistics: &statistics)
        }
        #expect(gradients == [0.25, 0.25, 0.25, 0.25])
        #expect(statistics.loss == 1)
        #expect(statistics.ratioMean == 1 && statistics.ratioMax == 1)
    }

    /// A token that the teacher finds impossible, among others that the two nearly agree on: without bounds its part of the
    /// gradient is all there is; with them it counts as the worst of tokens and no more.
    @Test(arguments: AdvantageKind.allCases) func oneImpossibleTokenDoesNotDecide(advantage: AdvantageKind) {
        let student: [Float] = [-1, -2, -0.5, -3, -1], teacher: [Float] = [-0.5, -3, -1.5, -1e4, -0.75]
        let response = scored(behaviour: student, teacher: teacher)
        func share(_ bounds: LogRatioBounds) -> Double {
            let parts = gradient(PolicyGradient(advantage: advantage, logRatio: bounds), response, current: student)
            // The others keep their directions.
            #expect(parts[0] < 0 && parts[1] > 0 && parts[2] > 0 && parts[3] > 0 && parts[4] < 0, "\(parts)")
            return Double(parts[3] / parts.reduce(0) { $0 + abs($1) })
        }
        #expect(share(LogRatioBounds()) > 0.999)
        // 2 of 2 + 0.5 + 1 + 1 + 0.25.
        #expect(abs(share(LogRatioBounds(limit: 2)) - 2 / 4.75) < 1e-6)
        #expect(share(LogRatioBounds(teacherMix: 0.9)) < 0.6)
        #expect(share(LogRatioBounds(limit: 1, teacherMix: 0.9)) < share(LogRatioBounds(limit: 1)))
    }

    @Test func boundsKeepSignOrderAndZero() {
        let response = scored(behaviour: [-1, -1, -1, -1], teacher: [-.infinity, -1.5, -1, 0])
        func advantages(_ bounds: LogRatioBounds) -> [Double] {
            PolicyGradient(klCoefficient: 2, logRatio: bounds).advantages(of: response, current: [])
        }
        #expect(advantages(LogRatioBounds()) == [-.infinity, -1, 0, 2])
        #expect(advantages(LogRatioBounds(limit: 0.75)) == [-1.5, -1, 0, 1.5])
        let mixed = advantages(LogRatioBounds(teacherMix: 0.75))
        #expect(mixed[0] == 2 * log(0.25) && mixed[2] == 0)
        #expect(abs(mixed[1] - 2 * log(0.75 * exp(-0.5) + 0.25)) < 1e-15)
        #expect(abs(mixed[3] - 2 * log(0.75 * exp(1) + 0.25)) < 1e-15)
        // Clamped first, then mixed; and what is mixed with nothing is the teacher.
        #expect(
            zip(advantages(LogRatioBounds(limit: 0.5, teacherMix: 0.75)), [-0.5, -0.5, 0, 0.5])
                .allSatisfy { abs($0 - 2 * log(0.75 * exp($1) + 0.25)) < 1e-15 })
        #expect(advantages(LogRatioBounds(limit: 1e6, teacherMix: 1)) == [-2e6, -1, 0, 2])
    }

    /// Every token is bounded before later tokens answer for it, and before the batch's baseline is taken.
    @Test func boundsComeBeforeDiscountAndBaseline() {
        let response = scored(behaviour: [-1, -1, -1], teacher: [-1, -2, -1001])
        let bounds = LogRatioBounds(limit: 4)
        let discounted = PolicyGradient(klDiscount: 0.5, logRatio: bounds)
        #expect(discounted.advantages(of: response, current: []) == [-1.5, -3, -4])
        #expect(PolicyGradient(baseline: .batchMean, logRatio: bounds).baseline(of: [response]) == -5.0 / 3)
    }

    /// The share that the limit changed is that of the compared policy's graded tokens; the divergence is what it was.
    @Test func theLimitTellsHowMuchItChanged() {
        let graded = scored(behaviour: [-1, -1, -1], teacher: [-9, -1, -3])
        var ungraded = scored(behaviour: [-1], teacher: [])
        ungraded.trajectory.teacher = nil
        func statistics(_ objective: PolicyGradient) -> BatchStatistics {
            var statistics = BatchStatistics()
            for response in [graded, ungraded] {
                let current = response.trajectory.behaviourLogprobs.map { $0 - 5 }
                _ = objective.gradient(
                    of: response, current: current, baseline: 0, tokenCount: 4, version: 0, statistics: &statistics)
            }
            return statistics
        }
        // b - t is 8, 0, 2 and s - t 3, -5, -3: what is at the limit is not beyond it.
        let bounds = LogRatioBounds(limit: 3)
        #expect(statistics(PolicyGradient(logRatio: bounds)).clampFraction == 1.0 / 3)
        #expect(statistics(PolicyGradient(advantage: .current, logRatio: bounds)).clampFraction == 1.0 / 3)
        #expect(statistics(PolicyGradient(logRatio: LogRatioBounds(limit: 1))).clampFraction == 2.0 / 3)
        #expect(statistics(PolicyGradient()).clampFraction == nil)
        #expect(statistics(PolicyGradient(logRatio: LogRatioBounds(teacherMix: 0.5))).clampFraction == nil)
        #expect(statistics(PolicyGradient(logRatio: bounds)).teacherKL == statistics(PolicyGradient()).teacherKL)
        let metrics = TrainingMetrics(statistics(PolicyGradient(logRatio: bounds)), gradNorm: 0, learningRate: 0)
        #expect(metrics.clampFraction == 1.0 / 3)
    }

    /// A baseline takes the same from every advantage of a batch, and nothing where teacher and student agree.
    @Test(arguments: AdvantageKind.allCases) func batchMeanIsTakenFromEveryAdvantage(advantage: AdvantageKind) {
        var objective = PolicyGradient(advantage: advantage, baseline: .batchMean, klCoefficient: 2)
        let batch = [
            scored(behaviour: [-1], teacher: [-2]), scored(behaviour: [-1, -1, -4], teacher: [-2, -3, -2]),
        ]
        // k = 1, 1, 2, -2, so the advantages are -2, -2, -4, 4 and their mean is -1.
        #expect(objective.baseline(of: batch) == -1)
        func gradients() -> [Float] {
            var statistics = BatchStatistics()
            return batch.flatMap {
                objective.gradient(
                    of: $0, current: $0.trajectory.behaviourLogprobs, baseline: objective.baseline(of: batch),
                    tokenCount: 4, version: 0, statistics: &statistics)
            }
        }
        #expect(gradients() == [0.25, 0.25, 0.75, -1.25])
        #expect(gradients().reduce(0, +) == 0)
        objective.baseline = .none
        #expect(objective.baseline(of: batch) == 0)
        #expect(gradients() == [0.5, 0.5, 1, -1])
        let same = scored(behaviour: [-1, -3], teacher: [-1, -3])
        #expect(PolicyGradient(baseline: .batchMean).baseline(of: [same, same]) == 0)
        #expect(PolicyGradient(baseline: .batchMean).baseline(of: []) == 0)
    }

    /// A student that is right with p = 0.75 and wrong with 0.25, where the teacher tells the two apart: of all constants
    /// the weighted mean leaves the gradient with the least variance, here none at all, and the same expectation.
    @Test func leastVarianceBaselineTakesTheNoiseOut() {
        let right = scored(behaviour: [Float(log(0.75))], teacher: [0])
        let wrong = scored(behaviour: [Float(log(0.25))], teacher: [-10])
        let batch = [right, right, right, wrong]
        // Of a token of two, the gradient of log p in the logit of the right one: 1 - p, or -(1 - p) for the wrong one.
        func pushes(_ kind: BaselineKind) -> [Double] {
            let objective = PolicyGradient(baseline: kind)
            let baseline = objective.baseline(of: batch)
            var statistics = BatchStatistics()
            return batch.map { scored in
                let slope = (1 - exp(Double(scored.trajectory.behaviourLogprobs[0]))) * (scored == wrong ? -1 : 1)
                let gradient = objective.gradient(
                    of: scored, current: scored.trajectory.behaviourLogprobs, baseline: baseline, tokenCount: 4,
                    version: 0, statistics: &statistics)
                return -Double(gradient[0]) * slope
            }
        }
        let plain = pushes(.none), mean = pushes(.batchMean), least = pushes(.leastVariance)
        let expected = plain.reduce(0, +)
        #expect(expected > 0 && abs(mean.reduce(0, +) - expected) < 1e-6)
        #expect(abs(least.reduce(0, +) - expected) < 1e-6)
        func spread(_ values: [Double]) -> Double {
            let middle = values.reduce(0, +) / Double(values.count)
            return values.reduce(0) { $0 + ($1 - middle) * ($1 - middle) }
        }
        #expect(spread(least) < spread(mean) * 1e-6 && spread(mean) < spread(plain), "\(plain) \(mean) \(least)")
        let sure = scored(behaviour: [0], teacher: [-3])
        #expect(PolicyGradient(baseline: .leastVariance).baseline(of: [sure]) == 0)
        #expect(PolicyGradient(baseline: .leastVariance).baseline(of: []) == 0)
    }
}
