import Distillation
import Engines
import TestSupport
import Testing
import Wire

/// Runs in which several teachers grade one prompt together.
@Suite(.timeLimit(.minutes(3))) struct TeacherMixtureRunTests {
    /// One teacher that says what two say together.
    actor MixedTeacher: ScoringBackend {
        nonisolated let tokenizerFingerprint = "unigram"
        nonisolated let preferredBatch = ScoringBatch(tokens: 4096, tasks: 64)

        func score(_ tasks: [ScoreTask]) -> [[Float]] {
            let parts = [(0.25, "default"), (0.75, "other")].map { share, name in
                (share: share, logprobs: UnigramModel.teacher(name).logprobs())
            }
            return tasks.map { task in
                task.responseIDs.map { id in Float(parts.reduce(0.0) { $0 + $1.share * Double($1.logprobs[Int(id)]) }) }
            }
        }
    }

    private static let steps: UInt64 = 6

    private static func run(
        staleness: UInt64 = 0, _ members: [(name: String, teachers: [String])], sockets: Bool = false,
        killsOne: Bool = false
    ) async throws -> (metrics: [StepMetrics], model: UnigramModel) {
        var plan = plan(
            steps: steps, prompts: 4, samples: 2, maxStaleness: staleness, heldout: 2, teachers: ["default"])
        let others = [PromptTeacher(label: "other", share: 0.75)]
        for index in plan.prompts.indices { (plan.prompts[index].share, plan.prompts[index].others) = (0.25, others) }
        for index in plan.heldout.indices { (plan.heldout[index].share, plan.heldout[index].others) = (0.25, others) }
        let run = TestRun(plan: plan, checkpointEvery: 0, sockets: sockets)
        let trainer = UnigramTrainer(duration: .milliseconds(1))
        let learner = try run.learner(trainer: trainer, leastSilence: killsOne ? .milliseconds(400) : .seconds(60))
        let scorers = try members.map { try run.scorer($0.name, teachers: $0.teachers) }
        let worker = try run.worker()
        let running = Task { try await learner.run() }
        if killsOne {
            #expect(await eventually { run.recorder.all.metrics.count >= 2 })
            await scorers[0].kill()
        }
        #expect(try await running.value.end == .completed)
        _ = try await worker.task.value
        for scorer in scorers.dropFirst(killsOne ? 1 : 0) { _ = try await scorer.task.value }
        return (run.recorder.timeless, await trainer.model)
    }

    private static let each = [("a", ["default"]), ("b", ["other"])]

    /// The student learns from the mixture as from one teacher that says it, to the last bit.
    @Test func theMixtureTeaches() async throws {
        let result = try await Self.run(Self.each)
        let single = TestRun(
            plan: plan(steps: Self.steps, prompts: 4, samples: 2, heldout: 2, teachers: ["default"]), checkpointEvery: 0
        )
        let trainer = UnigramTrainer(duration: .milliseconds(1))
        let learner = try single.learner(trainer: trainer)
        let members = [try single.worker(), try single.scorer(backend: MixedTeacher())]
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        #expect(await trainer.model == result.model)
        #expect(single.recorder.timeless.map(\.training) == result.metrics.map(\.training))
        #expect(single.recorder.timeless.map(\.evaluation) == result.metrics.map(\.evaluation))
    }

    @Test func whoGradesWhenChangesNothing() async throws {
        let one = try await Self.run(Self.each)
        let more = try await Self.run(Self.each + [("c", ["other"]), ("d", ["default"])])
        let apart = try await Self.run(Self.each, sockets: true)
        let killed = try await Self.run([("z", ["default"])] + Self.each, killsOne: true)
        for other in [more, apart, killed] { #expect(other.metrics == one.metrics && other.model == one.model) }
    }

    @Test func staleRunsGoOn() async throws {
        #expect(try await Self.run(staleness: 2, Self.each).metrics.count == Int(Self.steps) + 1)
    }
}
