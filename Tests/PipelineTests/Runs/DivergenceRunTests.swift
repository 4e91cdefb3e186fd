import Distillation
import Foundation
import Pipeline
import TestSupport
import Testing

/// Runs that compare whole distributions.
@Suite(.timeLimit(.minutes(3))) struct DivergenceRunTests {
    struct Result: Sendable {
        var metrics: [StepMetrics]
        var model: UnigramModel

        var divergences: [Double] { metrics.compactMap { $0.training?.divergence } }
    }

    static let divergences: [Divergence] = [
        .reverseKL, .forwardKL, .jensenShannon(beta: 0.5), .skewKL(skew: 0.1), .skewReverseKL(skew: 0.1),
    ]

    private static func run(
        _ divergence: Divergence, top: Int = 3, staleness: UInt64 = 0, workers: Int = 1, scorers: Int = 1,
        steps: UInt64 = 60, sockets: Bool = false
    ) async throws -> Result {
        var plan = plan(
            steps: steps, prompts: 4, samples: 2, maxStaleness: staleness, heldout: 2, teachers: ["default"])
        plan.topTokens = top
        let run = TestRun(
            plan: plan, checkpointEvery: 0, objective: .distribution(DistributionMatching(divergence)),
            sockets: sockets)
        let (metrics, model) = try await run.complete(
            UnigramTrainer(duration: .milliseconds(1)), workers: workers, scorers: scorers)
        return Result(metrics: metrics, model: model)
    }

    private static func distance(_ model: UnigramModel) -> Double {
        Divergence.reverseKL.position(
            student: model.logprobs().map(Double.init),
            teacher: UnigramModel.teacher("default").logprobs().map(Double.init)
        ).value
    }

    /// Every divergence brings the student to its teacher, with stale samples too; the tokens that are not listed keep
    /// their shares of the tail, which alone is compared.
    @Test(arguments: divergences, [0, 3] as [UInt64])
    func everyDivergenceLeadsToTheTeacher(divergence: Divergence, staleness: UInt64) async throws {
        let result = try await Self.run(divergence, staleness: staleness)
        #expect(result.divergences.count == 60 && result.divergences.allSatisfy { $0 >= -1e-6 })
        let first = try #require(result.divergences.first), last = try #require(result.divergences.last)
        #expect(last < 0.15 * first, "\(first) and \(last)")
        let top = UnigramModel.teacher("default").top(3), own = result.model.classLogprobs(top.ids, temperature: 1)
        #expect(Self.distance(result.model) < Self.distance(.student))
        for (a, b) in zip(own, top.logprobs) { #expect(abs(exp(a) - exp(b)) < 0.1) }
        let shares = result.metrics.compactMap { $0.training?.tail }
        let wanted = Double(exp(top.logprobs[3]))
        #expect(result.metrics.compactMap { $0.training?.teacherTail }.allSatisfy { abs($0 - wanted) < 1e-6 })
        #expect(abs((shares.last ?? 0) - wanted) < abs((shares.first ?? 0) - wanted))
    }

    /// Runs are alike to the last bit, whoever worked, over memory or sockets.
    @Test func runsAreReproducible() async throws {
        let one = try await Self.run(.jensenShannon(beta: 0.3), steps: 8)
        let more = try await Self.run(.jensenShannon(beta: 0.3), workers: 2, scorers: 2, steps: 8)
        let apart = try await Self.run(.jensenShannon(beta: 0.3), workers: 2, steps: 8, sockets: true)
        #expect(one.metrics == more.metrics && one.model == more.model)
        #expect(one.metrics == apart.metrics && one.model == apart.model)
        #expect(one.metrics.compactMap { $0.training?.ratioMax }.allSatisfy { $0 == 1 })
    }
}
