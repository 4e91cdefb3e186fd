import Distillation
import Exchange
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

/// Runs whose teachers sample and whose student imitates.
@Suite(.timeLimit(.minutes(3))) struct OffPolicyRunTests {
    private static func plan(steps: UInt64 = 8, teachers: [String] = ["default", "other"]) -> RunPlan {
        var plan = TestSupport.plan(steps: steps, prompts: 4, samples: 3, heldout: 12, teachers: teachers)
        for index in plan.prompts.indices {
            (plan.prompts[index].sampler, plan.prompts[index].teacher) = (plan.prompts[index].teacher, nil)
            plan.prompts[index].check = SupervisedRunTests.check
        }
        for index in plan.heldout.indices {
            plan.heldout[index].teacher = nil
            plan.heldout[index].check = SupervisedRunTests.check
            plan.heldout[index].responseIDs = [1, 1, 4, 0]
        }
        plan.stepsAhead = 2
        return plan
    }

    private static func run(
        _ plan: RunPlan = plan(), checkpointEvery: UInt64 = 2, sockets: Bool = false, evaluationPause: Duration = .zero
    ) -> TestRun {
        TestRun(
            plan: plan, checkpointEvery: checkpointEvery, objective: .imitation, sockets: sockets,
            evaluationPause: evaluationPause)
    }

    private static func sampler(_ teacher: String, pause: Duration = .microseconds(200)) -> UnigramSampler {
        UnigramSampler(UnigramModel.teacher(teacher), pause: pause)
    }

    /// A worker of each teacher.
    private static func workers(_ run: TestRun, _ suffix: String = "", pause: Duration = .microseconds(200)) throws
        -> [TestRun.Member]
    {
        try run.plan.samplers.sorted().map {
            try run.worker("\($0)\(suffix)", teachers: [$0], backend: sampler($0, pause: pause), patience: .seconds(60))
        }
    }

    static let reference = Task {
        let run = Self.run(), trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        let members = try workers(run)
        let outcome = try await learner.run()
        for member in members { #expect(try await member.task.value == .shutdown("the run is complete")) }
        #expect(outcome.end == .completed && outcome.version == 8)
        return (metrics: run.recorder.timeless, model: await trainer.model, samples: run.recorder.all.samples)
    }

    private func expectReference(_ run: TestRun, _ trainer: UnigramTrainer) async throws {
        let reference = try await Self.reference.value
        #expect(run.recorder.timeless == reference.metrics)
        #expect(await trainer.model == reference.model)
        #expect(run.recorder.all.samples.map(\.1) == reference.samples.map(\.1))
    }

    @Test func itImitatesAndKeepsItsBooks() async throws {
        let reference = try await Self.reference.value
        #expect(reference.metrics.map(\.step) == Array(0...8))
        #expect(reference.metrics.filter { $0.evaluation != nil }.map(\.step) == [0, 4, 8])
        var cost = RunCost()
        for metrics in reference.metrics {
            #expect(metrics.tokens.balances && metrics.tokens.generated == metrics.tokens.trained)
            #expect(metrics.evaluation?.teacherKL == nil)
            guard let training = metrics.training else { continue }
            #expect(training.ratioMean == nil && training.teacherKL == nil && training.stalenessMax == 0)
            #expect(training.passRate != nil && training.truncatedFraction > 0)
            for (step, scored) in reference.samples where step == metrics.step && scored.trajectory.kind == .train {
                let trajectory = scored.trajectory
                let prompt = Double(trajectory.promptIDs.count), response = Double(trajectory.responseIDs.count)
                cost.sampling += prompt + (scored.sampler == "default" ? 100 : 1000) * response
                cost.training += 3 * (prompt + 10 * response)
                let logprobs = UnigramModel.teacher(scored.sampler ?? "").logprobs()
                #expect(trajectory.behaviourLogprobs == trajectory.responseIDs.map { logprobs[Int($0)] })
                #expect(Set(trajectory.policyVersions) == [0])
            }
            #expect(metrics.cost == cost)
        }
        let given = reference.metrics.compactMap { $0.evaluation?.crossEntropy }
        #expect(given.count == 3 && given[2] < given[0], "what the teacher often says: \(given)")
        // Held-out responses are the student's own, with its newest weights.
        let heldout = reference.samples.filter { $0.1.trajectory.kind == .evaluation }
        #expect(heldout.count == 3 * 12 && heldout.allSatisfy { $0.1.sampler == nil })
        #expect(heldout.allSatisfy { Set($0.1.trajectory.policyVersions) == [$0.step] })
    }

    /// The first step's loss is the mean cross-entropy of its responses under the weights that the run began with.
    @Test func theLossIsTheMeanCrossEntropy() async throws {
        let reference = try await Self.reference.value
        let ids = reference.samples.filter { $0.step == 1 && $0.1.trajectory.kind == .train }
            .flatMap(\.1.trajectory.responseIDs)
        let logprobs = UnigramModel.student.logprobs()
        let expected = -ids.reduce(0.0) { $0 + Double(logprobs[Int($1)]) } / Double(ids.count)
        #expect(try abs(#require(reference.metrics[1].training).loss - expected) < 1e-12)
    }

    /// The exact KL(teacher || student), which imitation minimises, falls.
    @Test func theStudentApproachesItsTeacher() async throws {
        let run = Self.run(Self.plan(steps: 24, teachers: ["default"])), trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        let teacher = Self.sampler("default")
        let worker = try run.worker(teachers: ["default"], backend: teacher)
        #expect(try await learner.run().end == .completed)
        _ = try await worker.task.value
        #expect(await teacher.replaced == 0, "a teacher never changes")
        func divergence(_ model: UnigramModel) -> Double {
            zip(UnigramModel.teacher("default").logprobs(), model.logprobs())
                .reduce(0) { $0 + exp(Double($1.0)) * Double($1.0 - $1.1) }
        }
        let after = divergence(await trainer.model)
        #expect(after < divergence(.student) * 0.2, "\(after)")
    }

    /// While one step is trained the workers go on, as far as they may.
    @Test func workersSampleAhead() async throws {
        let run = Self.run(Self.plan(steps: 20, teachers: ["default"]))
        let learner = try run.learner(trainer: UnigramTrainer(duration: .seconds(1)))
        let teacher = Self.sampler("default")
        let worker = try run.worker(teachers: ["default"], backend: teacher)
        let running = Task { try await learner.run() }
        // The step under way and two more, of 12 rollouts each.
        #expect(await eventually { await teacher.submitted >= 36 })
        await learner.stop("SIGINT")
        #expect(try await running.value.end == .stopped("SIGINT"))
        _ = try await worker.task.value
    }

    @Test func moreWorkersChangeNothing() async throws {
        let run = Self.run(), trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer)
        let members = try Self.workers(run) + Self.workers(run, "-slow", pause: .milliseconds(2))
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        try await expectReference(run, trainer)
    }

    @Test func killedWorkersChangeNothing() async throws {
        let run = Self.run(), trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer, leastSilence: .milliseconds(400))
        let running = Task { try await learner.run() }
        let killer = Task {
            for life in 0..<5 {
                let doomed = try Self.workers(run, life < 3 ? "" : "-\(life)", pause: .milliseconds(2))
                try await Task.sleep(for: .milliseconds(30 + 7 * life))
                for member in doomed { await member.kill() }
            }
            return try Self.workers(run, "-last")
        }
        #expect(try await running.value.end == .completed)
        for member in try await killer.value { await member.kill() }
        try await expectReference(run, trainer)
    }

    /// Through ZeroMQ; the workers stay, and find that the learner is another one, without forgetting their teacher.
    @Test func aKilledLearnerResumesToTheSameEnd() async throws {
        let run = Self.run(sockets: true), first = UnigramTrainer(duration: .milliseconds(40))
        let killed = try run.learner(trainer: first)
        let members = try Self.workers(run)
        let running = Task { try await killed.run() }
        #expect(await eventually { run.recorder.all.metrics.count >= 5 })
        await run.kill(killed, first, running)
        let second = UnigramTrainer()
        let learner = try run.learner(trainer: second, resume: true)
        #expect(try await learner.run().end == .completed)
        for member in members { #expect(try await member.task.value == .shutdown("the run is complete")) }
        try await expectReference(run, second)
    }

    @Test(arguments: [1, 3, 5]) func aStoppedRunResumesToTheSameEnd(afterLines: Int) async throws {
        let run = Self.run(checkpointEvery: 0), first = UnigramTrainer(duration: .milliseconds(40))
        let stopped = try run.learner(trainer: first)
        let members = try Self.workers(run)
        let running = Task { try await stopped.run() }
        #expect(await eventually { run.recorder.all.metrics.count >= afterLines })
        await stopped.stop("SIGINT")
        #expect(try await running.value.end == .stopped("SIGINT"))
        // The first line needs no worker: it may have come before they joined.
        try await expectReference(afterResuming: run, without: members)
    }

    /// Resumes a run with other workers than those it was stopped with, and compares it with the reference.
    private func expectReference(afterResuming run: TestRun, without members: [TestRun.Member]) async throws {
        for member in members { await member.kill() }
        let trainer = UnigramTrainer()
        let learner = try run.learner(trainer: trainer, resume: true)
        let others = try Self.workers(run)
        #expect(try await learner.run().end == .completed)
        for member in others { _ = try await member.task.value }
        try await expectReference(run, trainer)
    }

    /// Stopped in the middle of an evaluation: the step's line is written once, after the evaluation is made up for.
    @Test func aStoppedEvaluationIsMadeUpFor() async throws {
        let run = Self.run(checkpointEvery: 0, evaluationPause: .milliseconds(50)), first = UnigramTrainer()
        let stopped = try run.learner(trainer: first)
        let members = try Self.workers(run)
        let running = Task { try await stopped.run() }
        #expect(
            await eventually { await first.stepsBegun == 4 && run.recorder.all.activities.last == "evaluating" })
        await stopped.stop("SIGTERM")
        #expect(try await running.value.end == .stopped("SIGTERM"))
        let checkpoint = try #require(run.store.latest())
        #expect(try CheckpointState.read(from: checkpoint.path).pending?.step == 4)
        #expect(run.recorder.all.metrics.map(\.step) == [0, 1, 2, 3])
        try await expectReference(afterResuming: run, without: members)
    }

    /// A stop that comes after the evaluation that has the target, while its checkpoint is written, stops nothing.
    @Test func aStopAfterTheTargetChangesNothing() async throws {
        let metrics = try await Self.reference.value.metrics
        let rates = metrics.compactMap { $0.evaluation?.passRate }
        let best = try #require(rates.max())
        let step = try #require(metrics.firstIndex { $0.evaluation?.passRate == best })
        let run = TestRun(
            plan: Self.plan(), objective: .imitation, target: RunTarget(passRate: best))
        let learner = try run.learner(trainer: UnigramTrainer(saving: 0.3))
        let members = try Self.workers(run)
        let running = Task { try await learner.run() }
        #expect(await eventually { run.recorder.all.metrics.count == step + 1 })
        await learner.stop("SIGTERM")
        #expect(try await running.value.end == .reached("pass@1 \(best) has reached \(best)"))
        for member in members { await member.kill() }
    }

    /// A teacher without numbers costs steps, and its student keeps its checkpoints.
    @Test func aBrokenTeacherIsToBlame() async throws {
        let run = Self.run(Self.plan(teachers: ["default"]))
        let learner = try run.learner(trainer: UnigramTrainer())
        let broken = UnigramSampler(UnigramModel.teacher("default"), isBroken: true)
        let worker = try run.worker(teachers: ["default"], backend: broken)
        let error = await #expect(throws: LearnerError.self) { try await learner.run() }
        #expect(error?.message.contains("teacher 'default''s own log-probabilities") == true, "\(error as Any)")
        _ = await worker.task.result
        #expect(run.store.latest() != nil, "the student's weights are as good as before")
    }
}
