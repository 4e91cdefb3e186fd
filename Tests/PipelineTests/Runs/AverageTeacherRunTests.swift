import Distillation
import Engines
import Exchange
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

/// Runs whose teacher is a moving average of the student.
@Suite(.timeLimit(.minutes(3))) struct AverageTeacherRunTests {
    private static func plan(every steps: UInt64, staleness: UInt64 = 0, alone: Bool = true) -> RunPlan {
        var plan = TestSupport.plan(
            steps: 8, prompts: 3, samples: 2, maxStaleness: staleness, heldout: 2,
            teachers: alone ? ["default"] : ["default", "other"])
        plan.refreshes = alone ? ["default": steps] : ["default": steps, "other": steps]
        plan.averages = ["default"]
        return plan
    }

    private static func trainer(_ duration: Duration = .milliseconds(5), decay: Float = 0.5) -> UnigramTrainer {
        UnigramTrainer(duration: duration, shiftedBy: 0.3, averages: ["default"], decay: decay)
    }

    private static func scorers(_ run: TestRun, _ count: Int = 1) throws -> [TestRun.Member] {
        try run.plan.teachers.sorted().flatMap { teacher in
            try (0..<count).map {
                try run.scorer(
                    "scorer-\(teacher)-\($0)", teachers: [teacher], backend: UnigramSampler(), isFollowing: true)
            }
        }
    }

    private static func result(
        _ plan: RunPlan, scorers count: Int = 1, sockets: Bool = false, decay: Float = 0.5
    ) async throws -> (metrics: [StepMetrics], model: UnigramModel, average: [Float]?) {
        let run = TestRun(plan: plan, checkpointEvery: 0, sockets: sockets), trainer = trainer(decay: decay)
        let learner = try run.learner(trainer: trainer)
        let members = try [run.worker()] + scorers(run, count)
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        return (run.recorder.timeless, await trainer.model, await trainer.averages["default"])
    }

    /// The average lags behind the student, also in the steps at which it is taken; of the first it is the student.
    @Test(arguments: [1, 3] as [UInt64]) func theTeacherLagsBehind(steps: UInt64) async throws {
        let result = try await Self.result(Self.plan(every: steps))
        let divergences = result.metrics.compactMap { $0.training?.teacherKL }
        #expect(divergences.count == 8 && divergences.first == 0)
        #expect(divergences.dropFirst().allSatisfy { $0 != 0 })
        #expect(result.average != nil && result.average != result.model.logits)
        #expect(result.metrics.compactMap { $0.training?.ratioMax }.allSatisfy { $0 == 1 })
    }

    /// One that keeps nothing of itself is the earlier self that is refreshed in every step.
    @Test func anAverageThatKeepsNothingIsTheStudent() async throws {
        let average = try await Self.result(Self.plan(every: 2), decay: 0)
        var plan = Self.plan(every: 2)
        plan.averages = []
        let run = TestRun(plan: plan, checkpointEvery: 0), trainer = UnigramTrainer(shiftedBy: 0.3)
        let learner = try run.learner(trainer: trainer)
        let members = try [run.worker()] + Self.scorers(run)
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        #expect(average.metrics == run.recorder.timeless)
        let model = await trainer.model
        #expect(average.model == model)
    }

    /// Beside a teacher that is the student's earlier self, whose versions have the same numbers.
    @Test(arguments: [true, false]) func membersChangeNothing(alone: Bool) async throws {
        let plan = Self.plan(every: 3, alone: alone)
        let one = try await Self.result(plan)
        let more = try await Self.result(plan, scorers: 3)
        let apart = try await Self.result(plan, scorers: 2, sockets: true)
        #expect(one.metrics == more.metrics && one.model == more.model)
        #expect(one.metrics == apart.metrics && one.model == apart.model)
    }

    @Test func staleRunsGoOn() async throws {
        let result = try await Self.result(Self.plan(every: 2, staleness: 2), scorers: 2)
        #expect(result.metrics.count == 9 && result.metrics.last?.tokens.balances == true)
    }

    /// Stopped between two refreshes: the average that grades is of a step that is long over, and the one that is kept
    /// has gone on since.
    @Test(arguments: [true, false]) func aRunThatGoesOnHasItsTeacher(alone: Bool) async throws {
        let plan = Self.plan(every: 3, alone: alone)
        let reference = try await Self.result(plan)
        let run = TestRun(plan: plan, checkpointEvery: 1), first = Self.trainer(.milliseconds(40))
        let killed = try run.learner(trainer: first, leastSilence: .milliseconds(400))
        let members = [try run.worker("a")] + (try Self.scorers(run))
        let running = Task { try await killed.run() }
        #expect(await eventually { run.store.latest().map { $0.step >= 5 } ?? false })
        await run.kill(killed, first, running)
        let checkpoint = try #require(run.store.latest())
        let taken = checkpoint.step / 3 * 3
        let expected =
            taken == checkpoint.step
            ? [] : ["weights-default-\(taken).bin"] + (alone ? [] : ["weights-\(taken).bin"])
        let names = try FileManager.default.contentsOfDirectory(atPath: checkpoint.path)
        #expect(Set(names.filter { $0.hasPrefix("weights-") }) == Set(expected))
        let second = Self.trainer(), learner = try run.learner(trainer: second, resume: true)
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        #expect(run.recorder.timeless == reference.metrics)
        let (model, average) = await (second.model, second.averages["default"])
        #expect(model == reference.model && average == reference.average)
    }

    /// A checkpoint that has not the average that grades is refused by name.
    @Test func aCheckpointWithoutTheTeacherIsRefused() async throws {
        let run = TestRun(plan: Self.plan(every: 3), checkpointEvery: 1)
        let learner = try run.learner(trainer: Self.trainer())
        let members = [try run.worker()] + (try Self.scorers(run))
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        let checkpoint = try #require(run.store.latest())
        #expect(checkpoint.step == 8)
        try FileManager.default.removeItem(atPath: "\(checkpoint.path)/weights-default-6.bin")
        let error = await #expect(throws: LearnerError.self) {
            try await run.learner(trainer: Self.trainer(), resume: true).run()
        }
        #expect(error?.message.contains("it has no weights of teacher 'default' of step 6") == true)
    }
}
