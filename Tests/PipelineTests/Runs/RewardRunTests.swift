import Distillation
import Exchange
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

/// Runs that learn from verifiers: without teachers and scorers, and with both.
@Suite(.timeLimit(.minutes(3))) struct RewardRunTests {
    /// Right is what says 5 and never says 3.
    private static let check = try? AnswerCheck(answer: "", verifier: .rules([.contains("5"), .excludes("3")]))

    private static func plan(teachers: [String?], maxStaleness: UInt64 = 0, steps: UInt64 = 8) -> RunPlan {
        var plan = TestSupport.plan(
            steps: steps, prompts: 4, samples: 6, maxStaleness: maxStaleness, heldout: 8, teachers: teachers)
        for index in plan.prompts.indices { plan.prompts[index].check = check }
        for index in plan.heldout.indices { plan.heldout[index].check = check }
        return plan
    }

    static let reinforcement = Objective.policyGradient(
        PolicyGradient(loss: .ppoClip(low: 0.2, high: 0.2), reward: RewardTerm(coefficient: 4)))

    struct Result: Sendable {
        var metrics: [StepMetrics]
        var model: UnigramModel
        var outcome: LearnerOutcome
    }

    /// A run with so many workers, and scorers where there are teachers.
    private static func run(
        _ objective: Objective, teachers: [String?] = [nil], workers: Int = 1, maxStaleness: UInt64 = 0
    ) async throws -> Result {
        let run = TestRun(plan: plan(teachers: teachers, maxStaleness: maxStaleness), objective: objective)
        let trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        var members = try (0..<workers).map { index in
            try run.worker("rollout-\(index)", backend: UnigramSampler(pause: .microseconds(200 * (index + 1))))
        }
        if teachers != [nil] { members.append(try run.scorer()) }
        let outcome = try await learner.run()
        for member in members { _ = try await member.task.value }
        return Result(metrics: run.recorder.timeless, model: await trainer.model, outcome: outcome)
    }

    static let reference = Task { try await run(reinforcement) }

    @Test func itLearnsWhatIsRewarded() async throws {
        let result = try await Self.reference.value
        #expect(result.outcome.end == .completed && result.metrics.map(\.step) == Array(0...8))
        for metrics in result.metrics {
            #expect(metrics.tokens.balances && metrics.tokens.inFlight == 0)
            guard let training = metrics.training else { continue }
            #expect(training.ratioMean == 1 && training.teacherKL == nil)
            let cost = try #require(metrics.cost)
            #expect(cost.sampling > 0 && cost.training == 3 * cost.sampling && cost.scoring == 0)
            #expect(training.rewardMean != nil && training.passRate != nil)
        }
        #expect(result.outcome.tokens.trained == result.outcome.tokens.generated)
        // What is never said, and what is said with what chance, both move the right way.
        func chances(_ model: UnigramModel) -> [Double] { model.logprobs().map { exp(Double($0)) } }
        let before = chances(.student), after = chances(result.model)
        #expect(after[5] > before[5] && after[3] < before[3], "\(after)")
        let rates = result.metrics.compactMap { $0.evaluation?.passRate }
        #expect(rates.count == 3 && rates[2] > rates[0], "\(rates)")
        #expect(result.metrics.allSatisfy { $0.evaluation?.teacherKL == nil })
    }

    @Test func moreWorkersChangeNothing() async throws {
        let reference = try await Self.reference.value, two = try await Self.run(Self.reinforcement, workers: 2)
        #expect(two.metrics == reference.metrics && two.model == reference.model)
    }

    @Test func aKilledLearnerResumesToTheSameEnd() async throws {
        let reference = try await Self.reference.value
        let run = TestRun(plan: Self.plan(teachers: [nil]), objective: Self.reinforcement)
        let first = UnigramTrainer()
        let killed = try run.learner(trainer: first)
        _ = try run.worker("a")
        let running = Task { try await killed.run() }
        #expect(await eventually { run.recorder.all.metrics.count >= 6 })
        await run.kill(killed, first, running)
        let second = UnigramTrainer()
        let learner = try run.learner(trainer: second, resume: true)
        let worker = try run.worker("b")
        #expect(try await learner.run().end == .completed)
        await worker.kill()
        #expect(run.recorder.timeless == reference.metrics)
        #expect(await second.model == reference.model)
    }

    /// Grades and rewards together: the same with more workers, and another run than with either alone.
    @Test func gradesAndRewardsTogether() async throws {
        let mixed = Objective.policyGradient(
            PolicyGradient(klCoefficient: 0.5, reward: RewardTerm(coefficient: 2)))
        let one = try await Self.run(mixed, teachers: ["default"])
        let two = try await Self.run(mixed, teachers: ["default"], workers: 2)
        #expect(one.metrics == two.metrics && one.model == two.model)
        for training in one.metrics.compactMap(\.training) {
            #expect(training.teacherKL != nil && training.rewardMean != nil)
        }
        for cost in one.metrics.dropFirst().map(\.cost) {
            #expect(try #require(cost).scoring > #require(cost).training)
        }
        let evaluations = one.metrics.compactMap(\.evaluation)
        #expect(evaluations.count == 3 && evaluations.allSatisfy { $0.teacherKL != nil && $0.passRate != nil })
        let graded = try await Self.run(.policyGradient(PolicyGradient(klCoefficient: 0.5)), teachers: ["default"])
        #expect(graded.model != one.model)
        // Measured, not trained on.
        #expect(graded.metrics.compactMap { $0.training?.rewardMean }.count == 8)
    }

    /// Ended by its target, the run is that far the same, and a run that goes on from there has nothing to do.
    @Test func itEndsAtItsTarget() async throws {
        let reference = try await Self.reference.value
        let rate = try #require(reference.metrics[4].evaluation?.passRate)
        let run = TestRun(
            plan: Self.plan(teachers: [nil]), objective: Self.reinforcement, target: RunTarget(passRate: rate))
        let trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        let worker = try run.worker()
        let outcome = try await learner.run()
        #expect(outcome.end == .reached("pass@1 \(rate) has reached \(rate)") && outcome.version == 4)
        #expect(try await worker.task.value == .shutdown("the run is complete"))
        #expect(run.recorder.timeless[...] == reference.metrics.prefix(5))
        let again = UnigramTrainer()
        #expect(try await run.learner(trainer: again, resume: true).run().end == outcome.end)
        #expect(await again.stepsBegun == 0)
    }

    @Test func staleRunsKeepTheirBooks() async throws {
        let result = try await Self.run(Self.reinforcement, workers: 2, maxStaleness: 2)
        #expect(result.metrics.allSatisfy { $0.tokens.balances && ($0.training?.stalenessMax ?? 0) <= 2 })
        #expect(result.outcome.tokens.inFlight == 0 && result.outcome.tokens.trained == result.outcome.tokens.generated)
    }

    /// A scorer has no business here, and is told so.
    @Test func aScorerIsRefused() async throws {
        let run = TestRun(plan: Self.plan(teachers: [nil], steps: 2), objective: Self.reinforcement)
        let learner = try run.learner(trainer: UnigramTrainer())
        let scorer = try run.scorer(teachers: ["default"])
        let worker = try run.worker()
        #expect(try await learner.run().end == .completed)
        _ = try await worker.task.value
        let end = try await scorer.task.value
        #expect(end.failure?.contains("no prompt of this run asks for teacher 'default'") == true, "\(end)")
    }
}
