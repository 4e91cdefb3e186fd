import Distillation
import Engines
import Exchange
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

/// Runs whose teacher is the student's own earlier self.
@Suite(.timeLimit(.minutes(3))) struct EarlierSelfRunTests {
    private static func plan(every steps: UInt64, staleness: UInt64 = 0) -> RunPlan {
        var plan = TestSupport.plan(
            steps: 8, prompts: 3, samples: 2, maxStaleness: staleness, heldout: 2, teachers: ["default"])
        plan.refreshes = ["default": steps]
        return plan
    }

    private static func scorer(_ run: TestRun, _ name: String = "scorer-0") throws -> TestRun.Member {
        try run.scorer(name, backend: UnigramSampler(), isFollowing: true)
    }

    /// The run that others must equal: rewards move the student away from what it was.
    private static func reference(
        every steps: UInt64, staleness: UInt64 = 0, scorers: Int = 1, sockets: Bool = false
    ) async throws -> (metrics: [StepMetrics], model: UnigramModel) {
        let run = TestRun(plan: plan(every: steps, staleness: staleness), checkpointEvery: 0, sockets: sockets)
        let trainer = UnigramTrainer(shiftedBy: 0.3)
        let learner = try run.learner(trainer: trainer)
        let members = try [run.worker()] + (0..<scorers).map { try scorer(run, "scorer-\($0)") }
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        return (run.recorder.timeless, await trainer.model)
    }

    /// The student of a step is graded by that of the last refresh: by itself, where both are the same.
    @Test(arguments: [1, 3] as [UInt64]) func theTeacherIsTheStudentOfItsLastRefresh(steps: UInt64) async throws {
        let result = try await Self.reference(every: steps)
        let divergences = result.metrics.compactMap { $0.training?.teacherKL }
        #expect(divergences.count == 8)
        for (step, divergence) in divergences.enumerated() {
            #expect((divergence == 0) == (UInt64(step) % steps == 0), "step \(step): \(divergence)")
        }
        #expect(result.metrics.compactMap { $0.training?.ratioMax }.allSatisfy { $0 == 1 })
    }

    @Test func membersChangeNothing() async throws {
        let one = try await Self.reference(every: 3)
        let more = try await Self.reference(every: 3, scorers: 3)
        let apart = try await Self.reference(every: 3, scorers: 2, sockets: true)
        #expect(one.metrics == more.metrics && one.model == more.model)
        #expect(one.metrics == apart.metrics && one.model == apart.model)
    }

    @Test func staleRunsGoOn() async throws {
        let result = try await Self.reference(every: 2, staleness: 2, scorers: 2)
        #expect(result.metrics.count == 9 && result.metrics.last?.tokens.balances == true)
    }

    /// Stopped between two refreshes, its teacher being of a step that is long over: the rest is as it would have been.
    @Test func aRunThatGoesOnHasItsTeacher() async throws {
        let reference = try await Self.reference(every: 3)
        let run = TestRun(plan: Self.plan(every: 3), checkpointEvery: 1)
        let first = UnigramTrainer(duration: .milliseconds(40), shiftedBy: 0.3)
        let killed = try run.learner(trainer: first, leastSilence: .milliseconds(400))
        let members = [try run.worker("a"), try Self.scorer(run, "b")]
        let running = Task { try await killed.run() }
        #expect(await eventually { run.store.latest().map { $0.step >= 5 } ?? false })
        await run.kill(killed, first, running)
        let checkpoint = try #require(run.store.latest())
        let names = try FileManager.default.contentsOfDirectory(atPath: checkpoint.path)
        let expected = checkpoint.step % 3 == 0 ? [] : ["weights-\(checkpoint.step / 3 * 3).bin"]
        #expect(names.filter { $0.hasPrefix("weights-") } == expected)
        let second = UnigramTrainer(shiftedBy: 0.3)
        let learner = try run.learner(trainer: second, resume: true)
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        #expect(run.recorder.timeless == reference.metrics)
        #expect(await second.model == reference.model)
    }

    /// A checkpoint that has not the weights of the teacher is refused by name.
    @Test func aCheckpointWithoutTheTeacherIsRefused() async throws {
        let run = TestRun(plan: Self.plan(every: 3), checkpointEvery: 1)
        let learner = try run.learner(trainer: UnigramTrainer(shiftedBy: 0.3))
        let members = [try run.worker(), try Self.scorer(run)]
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        let checkpoint = try #require(run.store.latest())
        #expect(checkpoint.step == 8)
        try FileManager.default.removeItem(atPath: "\(checkpoint.path)/weights-6.bin")
        let error = await #expect(throws: LearnerError.self) {
            try await run.learner(trainer: UnigramTrainer(), resume: true).run()
        }
        #expect(error?.message.contains("it has no weights of step 6") == true)
    }
}
