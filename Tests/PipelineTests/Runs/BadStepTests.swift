import Distillation
import Foundation
import Pipeline
import RunFiles
import TestSupport
import Testing
import Wire

/// Numbers gone bad cost a step or end the run, as configured, and never a good checkpoint.
@Suite(.timeLimit(.minutes(3))) struct BadStepTests {
    private static let runPlan = plan(steps: 6, prompts: 2, samples: 3, heldout: 2)

    private struct Result {
        var metrics: [StepMetrics]
        var model: UnigramModel
        var outcome: LearnerOutcome
        var suspects: [(step: UInt64, flaw: String, ScoredTrajectory)]
    }

    private func complete(_ run: TestRun, _ trainer: UnigramTrainer) async throws -> Result {
        let learner = try run.learner(trainer: trainer)
        let members = [try run.worker(), try run.scorer()]
        let outcome = try await learner.run()
        for member in members { _ = try await member.task.value }
        return Result(
            metrics: run.recorder.timeless, model: await trainer.model, outcome: outcome,
            suspects: run.recorder.all.suspects)
    }

    @Test func aGradientThatIsNoNumberIsSkipped() async throws {
        let run = TestRun(plan: Self.runPlan)
        let result = try await complete(run, UnigramTrainer(explodesAt: [1, 2, 4]))
        #expect(result.outcome.end == .completed && result.outcome.version == 6)
        #expect(result.metrics.filter { $0.skipped != nil }.map(\.step) == [2, 3, 5])
        #expect(result.metrics.filter { $0.step > 0 }.allSatisfy { ($0.training == nil) == ($0.skipped != nil) })
        #expect(result.metrics.allSatisfy { $0.tokens.balances && $0.tokens.inFlight == 0 })
        let counts = try #require(result.metrics.last).tokens
        let skipped = result.suspects.reduce(0) { $0 + $1.2.trajectory.responseIDs.count }
        #expect(counts.discarded == UInt64(skipped) && skipped > 0, "all six trajectories of a step fit the bound")
        #expect(result.suspects.map(\.step) == [2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 5])
        #expect(result.suspects.allSatisfy { $0.flaw.contains("the gradient's norm inf") })
    }

    /// A run that is interrupted among skipped steps ends as one that is not.
    @Test func skippedStepsAreRepeatable() async throws {
        let bad: Set<UInt64> = [1, 2, 4]
        let whole = try await complete(TestRun(plan: Self.runPlan), UnigramTrainer(explodesAt: bad))
        let run = TestRun(plan: Self.runPlan, checkpointEvery: 1)
        let first = UnigramTrainer(duration: .milliseconds(30), explodesAt: bad)
        let learner = try run.learner(trainer: first)
        let members = [try run.worker(), try run.scorer()]
        let running = Task { try await learner.run() }
        #expect(await eventually { run.store.list().contains { $0.step == 2 } })
        await run.kill(learner, first, running)
        let second = UnigramTrainer(explodesAt: bad)
        #expect(try await run.learner(trainer: second, resume: true).run().end == .completed)
        for member in members { _ = try await member.task.value }
        #expect(run.recorder.timeless == whole.metrics)
        #expect(await second.model == whole.model)
    }

    @Test func aStopLeavesACheckpointOfTheLastGoodStep() async throws {
        let run = TestRun(plan: Self.runPlan, checkpointEvery: 0, stepGuard: StepGuard(reaction: .stop))
        let trainer = UnigramTrainer(explodesAt: [3])
        let learner = try run.learner(trainer: trainer)
        let members = [try run.worker(), try run.scorer()]
        let error = await #expect(throws: LearnerError.self) { _ = try await learner.run() }
        #expect(error?.code == .badStep && error?.message.contains("step 4: the loss is") == true)
        for member in members {
            guard case .shutdown(let reason) = try await member.task.value else { continue }
            #expect(reason.contains("step 4"))
        }
        let checkpoint = try #require(run.store.latest())
        #expect(checkpoint.step == 3)
        let restored = UnigramTrainer()
        try await restored.restore(from: checkpoint.path)
        #expect(await restored.model == trainer.model)
    }

    @Test func tooManyBadStepsInARowEndTheRun() async throws {
        let run = TestRun(plan: Self.runPlan, stepGuard: StepGuard(limitInARow: 2))
        let learner = try run.learner(trainer: UnigramTrainer(explodesAt: [0, 2, 3]))
        let members = [try run.worker(), try run.scorer()]
        let error = await #expect(throws: LearnerError.self) { _ = try await learner.run() }
        #expect(error?.message.contains("step 4, the last of 2 bad steps in a row") == true)
        for member in members { _ = try await member.task.value }
    }

    /// The student is to blame: what it was before is kept.
    @Test func anExplodedStudentDoesNotReplaceGoodCheckpoints() async throws {
        let reference = try await complete(TestRun(plan: Self.runPlan), UnigramTrainer())
        let divergences = reference.metrics.compactMap { $0.training?.teacherKL }
        // The limit is below all divergences but the first step's: the checkpoint of a started run is the one to keep.
        let run = TestRun(plan: Self.runPlan, checkpointEvery: 1)
        let trainer = UnigramTrainer(duration: .milliseconds(30))
        let learner = try run.learner(trainer: trainer)
        let members = [try run.worker(), try run.scorer()]
        let running = Task { try await learner.run() }
        #expect(await eventually { run.store.list().contains { $0.step == 2 } })
        await learner.stop("enough")
        _ = try await running.value
        for member in members { _ = try await member.task.value }
        let good = try #require(run.store.latest())
        let limit = try #require(divergences.min()) / 2
        let strict = TestRun(continuing: run, stepGuard: StepGuard(limitInARow: 2, klLimit: limit))
        let second = try strict.learner(trainer: UnigramTrainer(), resume: true)
        let others = [try strict.worker(), try strict.scorer()]
        let error = await #expect(throws: LearnerError.self) { _ = try await second.run() }
        #expect(error?.message.contains("nats a token, above the limit") == true)
        for member in others { _ = try await member.task.value }
        #expect(strict.store.latest() == good)
        let suspects = strict.recorder.all.suspects
        #expect(Set(suspects.map(\.step)) == [UInt64(good.step) + 1, UInt64(good.step) + 2])
    }

    @Test func aStudentThatAnswersNothingEndsTheRun() async throws {
        var silent = Self.runPlan
        silent.sampling.stopTokenIDs = (0..<Int32(UnigramModel.vocabulary)).map { $0 }
        let run = TestRun(plan: silent, stepGuard: StepGuard(emptyLimit: 0.9))
        let learner = try run.learner(trainer: UnigramTrainer())
        let members = [try run.worker(), try run.scorer()]
        let error = await #expect(throws: LearnerError.self) { _ = try await learner.run() }
        #expect(error?.message.contains("6 of 6 responses are empty") == true)
        for member in members { _ = try await member.task.value }
    }

    /// A teacher that has no number for one rollout, whoever grades it, costs that step and not the run; one that has
    /// none for a held-out response costs that response.
    @Test func aRolloutThatCannotBeGradedCostsItsStep() async throws {
        let run = TestRun(plan: Self.runPlan)
        let learner = try run.learner(trainer: UnigramTrainer())
        let running = Task { try await learner.run() }
        let spoilt = WorkItem(id: RolloutID(group: 5, sample: 1), kind: .train)
        let heldout = WorkItem(id: RolloutID(group: 1, sample: 0), kind: .evaluation)
        let backend = UnigramTeacher(spoils: { $0 == spoilt || $0 == heldout })
        let members = [try run.worker(), try run.scorer(backend: backend)]
        #expect(try await running.value.end == .completed)
        for member in members { #expect(try await member.task.value == .shutdown("the run is complete")) }
        let metrics = run.recorder.all.metrics
        #expect(metrics.filter { $0.skipped != nil }.map(\.step) == [3])
        #expect(metrics[3].skipped?.contains("1 of 6 trajectories have grades that are not finite") == true)
        #expect(metrics.map { $0.evaluation?.responses } == [1, nil, nil, nil, 2, nil, 2])
        #expect(metrics.allSatisfy { $0.tokens.balances })
    }

    /// A run whose models have no numbers, or grades of the wrong length, ends as configured, and not because its
    /// members die.
    private func ending(
        _ stepGuard: StepGuard, trainer: UnigramTrainer = UnigramTrainer(), teacher: UnigramTeacher = UnigramTeacher()
    ) async throws -> (error: String, suspects: [String], steps: [UInt64], checkpoint: Checkpoint?) {
        let run = TestRun(plan: Self.runPlan, checkpointEvery: 1, stepGuard: stepGuard)
        let learner = try run.learner(trainer: trainer)
        let running = Task { try await learner.run() }
        // Without numbers of the student nothing is graded: the run could be over before the scorer is heard.
        let scorer = try run.scorer(backend: teacher)
        #expect(await eventually { (try? await run.status())?.members.count == 1 })
        let members = [try run.worker(), scorer]
        let error = await #expect(throws: LearnerError.self) { _ = try await running.value }
        #expect(error?.code == .badStep)
        for member in members {
            guard case .shutdown(let reason) = try await member.task.value else {
                Issue.record("a member was not there any more")
                continue
            }
            #expect(reason.contains("the learner failed: step "))
        }
        let lines = run.recorder.all
        #expect(lines.metrics.allSatisfy { $0.training == nil && $0.evaluation == nil && $0.tokens.balances })
        return (
            error?.message ?? "", lines.suspects.map(\.flaw), lines.metrics.filter { $0.skipped != nil }.map(\.step),
            run.store.latest()
        )
    }

    @Test func aTeacherWithoutNumbersEndsTheRunAsConfigured() async throws {
        let all = UnigramTeacher(spoils: { _ in true })
        let stopped = try await ending(StepGuard(reaction: .stop), teacher: all)
        #expect(stopped.error.contains("step 1: 6 of 6 trajectories have grades that are not finite"))
        #expect(stopped.steps == [] && stopped.checkpoint == nil)
        #expect(stopped.suspects.contains { $0.contains("6 of 6 trajectories") })
        let skipped = try await ending(StepGuard(limitInARow: 3), teacher: all)
        #expect(skipped.error.contains("step 3, the last of 3 bad steps in a row: 6 of 6 trajectories have grades"))
        #expect(skipped.steps == [1, 2])
    }

    @Test func gradesOfTheWrongLengthEndTheRunAsConfigured() async throws {
        let result = try await ending(StepGuard(reaction: .stop), teacher: UnigramTeacher(missing: 1))
        #expect(result.error.contains("step 1: 6 of 6 trajectories have grades that are not finite"))
        #expect(result.suspects.contains { $0.contains(" grades for ") })
    }

    @Test func aStudentWithoutNumbersEndsTheRunAsConfigured() async throws {
        let student = UnigramModel(logits: [Float](repeating: .nan, count: UnigramModel.vocabulary))
        let stopped = try await ending(StepGuard(reaction: .stop), trainer: UnigramTrainer(student))
        let text = "the student's own log-probabilities of 6 of 6 trajectories are not finite: its weights are unusable"
        #expect(stopped.error.contains("step 1: \(text)"))
        #expect(stopped.suspects.contains(text))
        let skipped = try await ending(StepGuard(limitInARow: 3), trainer: UnigramTrainer(student))
        #expect(skipped.error.contains("step 3, the last of 3 bad steps in a row: \(text)"))
        #expect(skipped.steps == [1, 2] && skipped.checkpoint == nil, "no checkpoint of such weights")
    }

    /// Another member has numbers: then the model is good, and the one without is refused.
    @Test func aMemberWithoutNumbersIsOverruledAndRefused() async throws {
        let run = TestRun(plan: plan(steps: 1_000_000, prompts: 2, samples: 3, heldout: 0), checkpointEvery: 0)
        let learner = try run.learner(trainer: UnigramTrainer())
        let running = Task { try await learner.run() }
        let good = [try run.worker(), try run.scorer()]
        let bad = [
            try run.worker("broken-rollout", backend: UnigramSampler(isBroken: true)),
            try run.scorer("broken-scorer", backend: UnigramTeacher(spoils: { _ in true })),
        ]
        for member in bad {
            let end = try await member.task.value
            #expect(end.failure?.contains("3 invalid results in a row, the last: no numbers for rollout") == true)
        }
        #expect(await eventually { !run.recorder.all.metrics.isEmpty })
        await learner.stop("enough")
        let steps = try await running.value.version
        for member in good { #expect(try await member.task.value == .shutdown("the run was stopped")) }
        let alone = try await complete(
            TestRun(plan: plan(steps: steps, prompts: 2, samples: 3, heldout: 0)), UnigramTrainer())
        #expect(run.recorder.timeless == alone.metrics, "nothing of it shows")
        #expect(run.recorder.all.suspects.count >= 2)
    }
}
