import Distillation
import Foundation
import Pipeline
import TestSupport
import Testing

/// Runs whose teacher finds a token impossible that the student samples now and then.
@Suite(.timeLimit(.minutes(3))) struct LogRatioRunTests {
    struct Result: Sendable {
        var metrics: [StepMetrics]
        var model: UnigramModel

        var norms: [Double] { metrics.compactMap { $0.training?.gradNorm } }
        var clampFractions: [Double] { metrics.compactMap { $0.training?.clampFraction } }
        /// The largest of a batch, as it is measured.
        var divergence: Double { metrics.compactMap { $0.training?.teacherKL }.max() ?? 0 }
    }

    private static let impossible = 4
    /// Bounds, and the largest k that they leave.
    static let bounds: [(LogRatioBounds, Double)] = [
        (LogRatioBounds(limit: 4), 4), (LogRatioBounds(teacherMix: 0.95), -log(0.05)),
        (LogRatioBounds(limit: 6, teacherMix: 0.9), -log(0.1)),
    ]

    private static func run(_ bounds: LogRatioBounds, workers: Int = 1, scorers: Int = 1) async throws -> Result {
        let run = TestRun(
            plan: plan(steps: 12, prompts: 8, samples: 4, heldout: 2, teachers: ["strict"]),
            objective: .policyGradient(PolicyGradient(logRatio: bounds)))
        let (metrics, model) = try await run.complete(UnigramTrainer(), workers: workers, scorers: scorers)
        return Result(metrics: metrics, model: model)
    }

    /// KL(student || teacher) over the tokens that both can say.
    private static func divergence(_ model: UnigramModel) -> Double {
        func possible(_ model: UnigramModel) -> [Double] {
            var logits = model.logits.map(Double.init)
            logits.remove(at: impossible)
            return logSoftmax(logits)
        }
        return Divergence.reverseKL.position(
            student: possible(model), teacher: possible(.teacher("strict"))
        ).value
    }

    /// Without bounds a batch that has the token is a step as long as the token's distance, and the student ends up saying
    /// one thing only, further from its teacher than it began.
    @Test func oneTokenDecidesTheRunWithoutBounds() async throws {
        let result = try await Self.run(LogRatioBounds())
        #expect(result.norms.contains { $0 > 50 }, "\(result.norms)")
        #expect(result.model.logprobs().contains { $0 > -1e-6 }, "\(result.model)")
        #expect(Self.divergence(result.model) > Self.divergence(.student))
        #expect(result.clampFractions.isEmpty)
    }

    /// With a bound the token is unlearnt all the same, no step is longer than the worst token of the bound would have it,
    /// and the rest of what the teacher knows arrives.
    @Test(arguments: Self.bounds) func withBoundsTheRunLearns(bounds: LogRatioBounds, worst: Double) async throws {
        let result = try await Self.run(bounds)
        // A token's gradient is its advantage times (one - p), whose length is below the root of 2; steps are their mean.
        #expect(result.norms.count == 12 && result.norms.allSatisfy { $0 < worst * 2.0.squareRoot() })
        func chance(_ model: UnigramModel) -> Float { exp(model.logprobs()[Self.impossible]) }
        #expect(chance(result.model) < chance(.student) * 0.5, "\(chance(result.model))")
        #expect(Self.divergence(result.model) < Self.divergence(.student) * 0.3, "\(Self.divergence(result.model))")
        // What is measured has no bounds; what was clamped is told.
        #expect(result.divergence > 50)
        #expect(result.metrics.allSatisfy { $0.skipped == nil })
        #expect(result.clampFractions.count == (bounds.limit == nil ? 0 : 12))
        #expect(result.clampFractions.allSatisfy { (0..<0.2).contains($0) })
        #expect(bounds.limit == nil || result.clampFractions.contains { $0 > 0 })
    }

    @Test func boundedRunsAreReproducible() async throws {
        let bounds = LogRatioBounds(limit: 6, teacherMix: 0.9)
        let one = try await Self.run(bounds), more = try await Self.run(bounds, workers: 2, scorers: 2)
        #expect(one.metrics == more.metrics && one.model == more.model)
    }
}
