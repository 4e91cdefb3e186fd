import Distillation
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

@Suite(.timeLimit(.minutes(3))) struct RunTests {
    /// The run that all others must equal: one worker, one scorer, nothing happens.
    struct Reference: Sendable {
        var metrics: [StepMetrics]
        var model: UnigramModel
        var samples: Int
    }
    static let runPlan = plan(steps: 8, prompts: 3, samples: 2, heldout: 3, teachers: ["default", "other"])

    static let reference = Task {
        let run = TestRun(plan: runPlan)
        let trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        let members = [try run.worker(), try run.scorer()]
        let outcome = try await learner.run()
        for member in members { #expect(try await member.task.value == .shutdown("the run is complete")) }
        #expect(outcome.end == .completed && outcome.version == 8)
        return Reference(
            metrics: run.recorder.timeless, model: await trainer.model, samples: run.recorder.all.samples.count)
    }

    private func expectReference(_ run: TestRun, _ trainer: UnigramTrainer) async throws {
        let reference = try await Self.reference.value
        #expect(run.recorder.timeless == reference.metrics)
        #expect(await trainer.model == reference.model)
        #expect(run.recorder.all.samples.count == reference.samples)
    }

    @Test func synchronousRunLearns() async throws {
        let reference = try await Self.reference.value
        #expect(reference.metrics.map(\.step) == Array(0...8))
        #expect(reference.metrics[0].training == nil)
        #expect(reference.metrics.filter { $0.evaluation != nil }.map(\.step) == [0, 4, 8])
        for metrics in reference.metrics {
            #expect(metrics.version == metrics.step && metrics.tokens.balances && metrics.tokens.inFlight == 0)
            guard let training = metrics.training else { continue }
            // Sampled and trained with the same weights: no ratio differs from 1, not even by rounding.
            #expect(training.ratioMean == 1 && training.ratioMax == 1 && training.stalenessMax == 0)
        }
        // 6 rollouts a step and 3 evaluations of 3.
        #expect(reference.samples == 8 * 6 + 3 * 3)
    }

    /// The exact KL(student || teacher) of the unigram models falls, and so does what the run measures of it.
    @Test func studentApproachesItsTeacher() async throws {
        let run = TestRun(plan: plan(steps: 12, prompts: 16, samples: 8, heldout: 16))
        let trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        let members = [try run.worker(), try run.scorer()]
        let outcome = try await learner.run()
        for member in members { _ = try await member.task.value }
        func divergence(_ model: UnigramModel) -> Double {
            zip(model.logprobs(), UnigramModel.teacher("default").logprobs())
                .reduce(0) { $0 + Double(exp($1.0)) * Double($1.0 - $1.1) }
        }
        let after = divergence(await trainer.model)
        #expect(after < divergence(.student) * 0.2, "\(after)")
        let (before, last) = try (#require(outcome.before), #require(outcome.after))
        #expect(before.step == 0 && last.step == 12)
        #expect(try #require(last.metrics.teacherKL) < #require(before.metrics.teacherKL))
    }

    @Test func moreMembersChangeNothing() async throws {
        let run = TestRun(plan: Self.runPlan)
        let trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        let slow = UnigramSampler(pause: .milliseconds(2))
        let members = [
            try run.worker("a"), try run.worker("b", backend: slow), try run.scorer("c", teachers: ["default"]),
            try run.scorer("d", teachers: ["other"]), try run.scorer("e"),
        ]
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        #expect(await slow.submitted > 0)
        try await expectReference(run, trainer)
    }

    /// Through ZeroMQ, weights in chunks, a worker killed and the learner replaced by another on the same port.
    @Test func socketsChangeNothing() async throws {
        let run = TestRun(plan: Self.runPlan, sockets: true)
        let first = UnigramTrainer(duration: .milliseconds(40))
        let killed = try run.learner(trainer: first, leastSilence: .milliseconds(400))
        let members = [try run.worker("a"), try run.scorer("b")]
        let doomed = try run.worker("doomed", backend: UnigramSampler(pause: .milliseconds(3)))
        let running = Task { try await killed.run() }
        #expect(await eventually { run.recorder.all.metrics.count >= 2 })
        await doomed.kill()
        #expect(await eventually { run.recorder.all.metrics.count >= 4 })
        await run.kill(killed, first, running)
        let second = UnigramTrainer()
        let learner = try run.learner(trainer: second, resume: true)
        #expect(try await learner.run().end == .completed)
        for member in members { #expect(try await member.task.value == .shutdown("the run is complete")) }
        try await expectReference(run, second)
    }

    @Test func killedMembersChangeNothing() async throws {
        let run = TestRun(plan: Self.runPlan)
        let trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer, leastSilence: .milliseconds(400))
        let running = Task { try await learner.run() }
        // Workers die one after the other in the middle of their work; the last one lives.
        let killer = Task {
            for life in 0..<6 {
                // Restarted under its own name, then replaced by one of another name.
                let worker = try run.worker(
                    life < 4 ? "worker" : "other-\(life)", backend: UnigramSampler(pause: .milliseconds(2)))
                let scorer = try run.scorer(life < 4 ? "scorer" : "scorer-\(life)")
                try await Task.sleep(for: .milliseconds(30 + 7 * life))
                await worker.kill()
                await scorer.kill()
            }
            return [try run.worker("last"), try run.scorer("last scorer")]
        }
        let outcome = try await running.value
        #expect(outcome.end == .completed)
        for member in try await killer.value { await member.kill() }
        try await expectReference(run, trainer)
    }

    @Test func killedLearnerResumesToTheSameEnd() async throws {
        let run = TestRun(plan: Self.runPlan)
        let members = [try run.worker(), try run.scorer()]
        let first = UnigramTrainer(duration: .milliseconds(40))
        let killed = try run.learner(trainer: first)
        let running = Task { try await killed.run() }
        #expect(await eventually { run.recorder.all.metrics.count >= 5 })
        await first.kill()
        // A process that is killed takes the thread along that writes its checkpoint; this one has to end.
        #expect(
            await eventually {
                (try? FileManager.default.contentsOfDirectory(atPath: run.store.folder))?
                    .contains { $0.hasPrefix(".tmp-") } == false
            })
        // The members stay, and find that the learner is another one.
        let second = UnigramTrainer()
        let learner = try run.learner(trainer: second, resume: true)
        let outcome = try await learner.run()
        #expect(outcome.end == .completed && outcome.version == 8)
        await killed.stop("abandoned")
        _ = await running.result
        for member in members { #expect(try await member.task.value == .shutdown("the run is complete")) }
        try await expectReference(run, second)
    }

    @Test(arguments: [1, 2, 3, 5]) func stoppedRunResumesToTheSameEnd(afterLines: Int) async throws {
        let run = TestRun(plan: Self.runPlan, checkpointEvery: 0)
        let first = UnigramTrainer(duration: .milliseconds(40))
        let stopped = try run.learner(trainer: first)
        var members = [try run.worker(), try run.scorer()]
        let running = Task { try await stopped.run() }
        #expect(await eventually { run.recorder.all.metrics.count >= afterLines })
        await stopped.stop("SIGINT")
        let outcome = try await running.value
        #expect(outcome.end == .stopped("SIGINT"))
        for member in members { #expect(try await member.task.value == .shutdown("the run was stopped")) }
        let second = UnigramTrainer()
        let learner = try run.learner(trainer: second, resume: true)
        members = [try run.worker(), try run.scorer()]
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        try await expectReference(run, second)
    }

    /// Stopped while an evaluation waits for its grades, twice: the step's line is written once, after the evaluation.
    @Test func stoppedEvaluationIsMadeUpFor() async throws {
        var plan = plan(steps: 8, heldout: 3)
        for index in plan.heldout.indices { plan.heldout[index].teacher = "judge" }
        func lines(disturbed: Bool) async throws -> [StepMetrics] {
            let run = TestRun(plan: plan, checkpointEvery: 0)
            let members = [try run.worker(patience: .seconds(60)), try run.scorer(teachers: ["default"])]
            var judge = try run.scorer("judge", teachers: ["judge"])
            var learner = try run.learner(trainer: UnigramTrainer(), leastSilence: .milliseconds(400))
            for _ in 0..<(disturbed ? 2 : 0) {
                let running = Task { [learner] in try await learner.run() }
                #expect(await eventually { run.recorder.all.metrics.count >= 1 })
                await judge.kill()
                let waits = "waiting for a scorer for teacher 'judge': none is connected"
                #expect(await eventually { run.recorder.all.activities.contains(waits) })
                await learner.stop("SIGTERM")
                #expect(try await running.value.end == .stopped("SIGTERM"))
                let checkpoint = try #require(run.store.latest())
                #expect(try CheckpointState.read(from: checkpoint.path).pending?.step == 4)
                #expect(run.recorder.all.metrics.map(\.step) == [0, 1, 2, 3])
                learner = try run.learner(trainer: UnigramTrainer(), resume: true, leastSilence: .milliseconds(400))
            }
            if disturbed {
                judge = try run.scorer("judge", teachers: ["judge"])
                _ = [try run.worker("new"), try run.scorer("new too", teachers: ["default"])]
            }
            #expect(try await learner.run().end == .completed)
            for member in members + [judge] { await member.kill() }
            return run.recorder.timeless
        }
        let expected = try await lines(disturbed: false)
        #expect(try await lines(disturbed: true) == expected)
    }

    /// New weights wait for the end of what was begun with older ones, or do not.
    @Test(arguments: [true, false]) func weightsChangeWhenTheyAreMeantTo(finishes: Bool) async throws {
        let run = TestRun(plan: plan(steps: 12, prompts: 3, samples: 4, maxStaleness: 2, heldout: 0))
        let learner = try run.learner(trainer: UnigramTrainer(duration: .milliseconds(10)))
        let sampler = UnigramSampler(pause: .milliseconds(3))
        let members = [try run.worker(backend: sampler, finishesSequences: finishes), try run.scorer()]
        let outcome = try await learner.run()
        for member in members { _ = try await member.task.value }
        #expect(await sampler.replaced > 1)
        #expect(await (sampler.replacedBeside == 0) == finishes)
        #expect(outcome.tokens.inFlight == 0 && outcome.tokens.generated == outcome.tokens.trained)
    }

    @Test func staleRunKeepsItsBooksAndBounds() async throws {
        let run = TestRun(plan: plan(steps: 12, prompts: 3, samples: 2, maxStaleness: 2, heldout: 0))
        let learner = try run.learner(trainer: UnigramTrainer(duration: .milliseconds(30)))
        let members = [try run.worker("a"), try run.worker("b"), try run.scorer()]
        let outcome = try await learner.run()
        for member in members { _ = try await member.task.value }
        let metrics = run.recorder.all.metrics
        #expect(metrics.map(\.step) == Array(1...12))
        #expect(metrics.allSatisfy { $0.tokens.balances && ($0.training?.stalenessMax ?? 9) <= 2 })
        // Sampling went on while steps were trained.
        #expect(metrics.contains { ($0.training?.stalenessMax ?? 0) > 0 && $0.tokens.inFlight > 0 })
        #expect(outcome.tokens.inFlight == 0 && outcome.tokens.generated == outcome.tokens.trained)
    }
}
