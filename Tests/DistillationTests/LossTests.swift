import Distillation
import Testing

/// A scored response with the given log-probabilities.
func scored(
    behaviour: [Float], teacher: [Float], versions: [UInt64]? = nil, finish: FinishReason = .stop, group: UInt64 = 0
) -> ScoredTrajectory {
    ScoredTrajectory(
        trajectory: Trajectory(
            id: RolloutID(group: group, sample: 0), kind: .train, teacher: "default", promptIDs: [1, 2],
            responseIDs: behaviour.indices.map { Int32($0) }, behaviourLogprobs: behaviour,
            policyVersions: PolicyVersions(versions ?? behaviour.map { _ in 0 }), finishReason: finish, temperature: 1),
        teacherLogprobs: teacher)
}

@Suite struct LossTests {
    /// Imitation is the cross-entropy at temperature 1, whoever sampled when.
    @Test func imitationIsCrossEntropy() {
        var response = scored(behaviour: [-9, -0.1, -3], teacher: [], versions: [0, 0, 0], finish: .length)
        response.trajectory.teacher = nil
        response.trajectory.temperature = 0.5
        response.sampler = "default"
        let objective = Objective.imitation
        #expect(objective.temperature(of: response.trajectory) == 1)
        #expect(Objective.policyGradient(PolicyGradient()).temperature(of: response.trajectory) == 0.5)
        var statistics = BatchStatistics(), expected = BatchStatistics()
        let gradient = objective.gradient(
            of: response, current: [-1, -2, -4.5], baseline: 0, tokenCount: 5, version: 7, statistics: &statistics)
        #expect(
            gradient
                == crossEntropyGradient(current: [-1, -2, -4.5], tokenCount: 5, statistics: &expected))
        #expect(gradient == [-0.2, -0.2, -0.2])
        #expect(statistics.loss == 2.5 && statistics.stalenessMax == 0 && statistics.truncatedFraction == 1)
        let metrics = TrainingMetrics(supervised: statistics, gradNorm: 1, learningRate: 1)
        #expect(metrics.ratioMean == nil && metrics.teacherKL == nil && metrics.loss == 2.5)
    }

    /// Surrogates as functions of s with everything else held constant.
    static let objectives: [PolicyGradient] = [
        PolicyGradient(loss: .importanceSampling),
        PolicyGradient(loss: .ppoClip(low: 0.2, high: 0.3)),
        PolicyGradient(loss: .truncated(bound: 1.5)),
    ]

    @Test(arguments: objectives) func gradientMatchesFiniteDifferences(objective: PolicyGradient) {
        let h = 1e-6
        for logRatio in [-2.0, -0.5, -0.1, 0, 0.1, 0.3, 0.6, 2] {
            for advantage in [-1.7, -0.2, 0, 0.4, 3] {
                func value(_ x: Double) -> Double {
                    objective.loss.token(ratio: exponential(x), advantage: advantage).value
                }
                let slope = (value(logRatio + h) - value(logRatio - h)) / (2 * h)
                let gradient = objective.loss.token(ratio: exponential(logRatio), advantage: advantage).gradient
                #expect(abs(slope - gradient) < 1e-6 * max(1, abs(gradient)), "x \(logRatio) A \(advantage)")
            }
        }
    }

    @Test(arguments: objectives, AdvantageKind.allCases)
    func batchGradientMatchesFiniteDifferences(objective: PolicyGradient, advantage: AdvantageKind) {
        var objective = objective
        objective.advantage = advantage
        objective.klDiscount = 0.6
        objective.klCoefficient = 0.7
        let response = scored(behaviour: [-1, -0.5, -2, -0.1], teacher: [-0.7, -1.5, -1.9, -3])
        let current: [Float] = [-1.25, -0.125, -2, -0.5]
        // The advantages are constants of the loss, also where they are taken from the current policy.
        let constants = objective.advantages(of: response, current: current)
        func loss(_ s: [Double]) -> Double {
            zip(s.indices, s).reduce(0) { sum, token in
                let behaviour = Double(response.trajectory.behaviourLogprobs[token.0])
                let ratio = exponential(token.1 - behaviour)
                return sum + objective.loss.token(ratio: ratio, advantage: constants[token.0]).value
            } / 8
        }
        var statistics = BatchStatistics()
        let gradient = objective.gradient(
            of: response, current: current, baseline: 0, tokenCount: 8, version: 0, statistics: &statistics)
        for index in current.indices {
            var up = current.map(Double.init)
            var down = up
            up[index] += 1e-5
            down[index] -= 1e-5
            let slope = (loss(up) - loss(down)) / 2e-5
            #expect(abs(slope - Double(gradient[index])) < 1e-6, "token \(index)")
        }
        #expect(abs(statistics.loss * 4 / 8 - loss(current.map(Double.init))) < 1e-12)
    }

    @Test func clipHoldsOnlyWhereItBounds() {
        // Better tokens gain nothing above 1 + high, worse ones nothing below 1 - low; the other sides stay free.
        #expect(ppoClipLoss(ratio: 1.5, advantage: 1, low: 0.2, high: 0.2).gradient == 0)
        #expect(ppoClipLoss(ratio: 0.5, advantage: -1, low: 0.2, high: 0.2).gradient == 0)
        #expect(ppoClipLoss(ratio: 0.5, advantage: 1, low: 0.2, high: 0.2).gradient == -0.5)
        #expect(ppoClipLoss(ratio: 1.5, advantage: -1, low: 0.2, high: 0.2).gradient == 1.5)
        #expect(ppoClipLoss(ratio: 1.5, advantage: 1, low: 0.2, high: 0.2).clipped)
        #expect(!ppoClipLoss(ratio: 1, advantage: 1, low: 0.2, high: 0.2).clipped)
    }

    @Test func truncationBoundsTheWeightAndKeepsTheDirection() {
        #expect(truncatedImportanceSamplingLoss(ratio: 100, advantage: 2, bound: 3).gradient == -6)
        #expect(truncatedImportanceSamplingLoss(ratio: 100, advantage: -2, bound: 3).gradient == 6)
        #expect(truncatedImportanceSamplingLoss(ratio: 2, advantage: 2, bound: 3).gradient == -4)
    }

    @Test func identicalLogprobsGiveRatioOneAndNoDivergence() {
        for logprob: Float in [0, -1e-30, -0.1, -0.33333334, -7.7, -1e20] {
            #expect(importanceRatio(current: logprob, behaviour: logprob) == 1)
            #expect(reverseKL(policy: [logprob], teacher: [logprob]) == [0])
        }
    }
}

/// e^x without a math library: enough terms for |x| <= 3.
func exponential(_ x: Double) -> Double {
    var term = 1.0
    var sum = 1.0
    for n in 1...60 {
        term *= x / Double(n)
        sum += term
    }
    return sum
}
