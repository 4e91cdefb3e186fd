import Distillation
import Exchange
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

/// What goes wrong is said in one line, and ends what it should end and nothing else.
@Suite(.timeLimit(.minutes(3))) struct RunFailureTests {
    private let shortPlan = plan(steps: 2, heldout: 0)

    @Test func anotherTokenizerIsRefused() async throws {
        let run = TestRun(plan: shortPlan)
        let learner = try run.learner(trainer: UnigramTrainer())
        let running = Task { try await learner.run() }
        let end = try await run.scorer(backend: UnigramTeacher(tokenizer: "another")).task.value
        guard case .rejected(let reject) = end else {
            Issue.record("\(end)")
            return
        }
        #expect(reject.code == .tokenizerMismatch && end.exitCode == 2)
        #expect(end.failure?.contains("tokenizer of teacher 'default' differs") == true)
        // The run goes on when the right one comes.
        let members = [try run.worker(), try run.scorer()]
        #expect(try await running.value.end == .completed)
        for member in members { _ = try await member.task.value }
    }

    @Test func unknownTeacherIsRefused() async throws {
        let run = TestRun(plan: shortPlan)
        let learner = try run.learner(trainer: UnigramTrainer())
        let running = Task { try await learner.run() }
        let end = try await run.scorer(teachers: ["nobody"]).task.value
        #expect(end.failure?.contains("no prompt of this run asks for teacher 'nobody'; teachers: default") == true)
        await learner.stop("enough")
        #expect(try await running.value.end == .stopped("enough"))
    }

    @Test func silentLearnerIsNotAwaitedForEver() async throws {
        let run = TestRun(plan: shortPlan)
        let end = try await run.worker(patience: .milliseconds(300)).task.value
        #expect(end.exitCode == 1 && end.failure?.contains("has not answered") == true)
    }

    /// A learner that nobody will ever hear from again ends, with all that it has done on disk.
    @Test func aSocketThatFailsEndsTheLearnerWithACheckpoint() async throws {
        let plan = plan(steps: 200, heldout: 0)
        let undisturbed = TestRun(plan: plan)
        let reference = UnigramTrainer()
        let other = try undisturbed.learner(trainer: reference)
        let others = [try undisturbed.worker(), try undisturbed.scorer()]
        _ = try await other.run()
        for member in others { _ = try await member.task.value }

        let run = TestRun(plan: plan, checkpointEvery: 0)
        let learner = try run.learner(trainer: UnigramTrainer(duration: .milliseconds(30)))
        let running = Task { try await learner.run() }
        let members = [try run.worker(), try run.scorer()]
        #expect(await eventually { run.recorder.all.metrics.count >= 2 })
        await learner.cutOff()
        let error = await #expect(throws: LearnerError.self) { _ = try await running.value }
        #expect(error?.code == .transport)
        #expect(error?.message == "the learner's socket has failed; go on with --resume")
        let step = try #require(run.store.latest()).step
        #expect(step >= 2 && step < 200)
        let second = UnigramTrainer()
        #expect(try await run.learner(trainer: second, resume: true).run().end == .completed)
        for member in members { _ = try await member.task.value }
        #expect(await second.model == reference.model)
        #expect(run.recorder.timeless == undisturbed.recorder.timeless)
    }

    @Test func checkpointThatCannotBeWrittenDoesNotEndTheRun() async throws {
        let run = TestRun(plan: plan(steps: 4, heldout: 0), checkpointEvery: 1)
        let learner = try run.learner(trainer: UnigramTrainer())
        // A file where the folder should be: no checkpoint can be made there.
        try FileManager.default.removeItem(atPath: "\(run.folder)/checkpoints")
        try Data().write(to: URL(fileURLWithPath: "\(run.folder)/checkpoints"))
        let members = [try run.worker(), try run.scorer()]
        let outcome = try await learner.run()
        for member in members { _ = try await member.task.value }
        #expect(outcome.end == .completed && outcome.version == 4)
        #expect(outcome.checkpoint == nil && outcome.checkpointFailure != nil)
    }

    @Test func failedTrainingEndsTheMembersToo() async throws {
        let run = TestRun(plan: shortPlan)
        let trainer = UnigramTrainer(duration: .milliseconds(200))
        let learner = try run.learner(trainer: trainer)
        let running = Task { try await learner.run() }
        let members = [try run.worker(), try run.scorer()]
        #expect(await eventually { await trainer.stepsBegun > 0 }, "all have joined")
        await trainer.kill()
        await #expect(throws: EngineFailure.self) { _ = try await running.value }
        for member in members {
            #expect(try await member.task.value == .shutdown("the learner failed: the engine failed"))
        }
    }

    @Test func resumingAnotherRunIsRefusedByName() throws {
        let original = plan(steps: 8)
        let state = CheckpointState(
            step: 2, plan: original, tokenizerFingerprint: "a", tokens: TokenCounts(), pending: nil, before: nil,
            after: nil)
        try state.check(continuedBy: plan(steps: 16), tokenizerFingerprint: "a")
        func message(_ plan: RunPlan, _ tokenizer: String = "a") -> String {
            do {
                try state.check(continuedBy: plan, tokenizerFingerprint: tokenizer)
                return ""
            } catch {
                return error.description
            }
        }
        #expect(message(plan(seed: 8)).contains("seed is 8 now"))
        #expect(message(plan(prompts: 4)).contains("data.prompts_per_step is 4 now"))
        #expect(message(plan(samples: 1)).contains("data.samples_per_prompt is 1 now"))
        #expect(message(plan(teachers: ["x"])).contains("data.prompts"))
        #expect(message(original, "b").contains("tokenizer"))
        #expect(message(plan(steps: 1)).contains("training.steps is 1 now"))
    }

    @Test func damagedStateIsNamed() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("opd-state-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func message(_ text: String?) throws -> String? {
            let path = "\(folder)/state.json"
            try? FileManager.default.removeItem(atPath: path)
            if let text { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
            return #expect(throws: LearnerError.self) { try CheckpointState.read(from: folder) }?.description
        }
        #expect(try message(nil)?.contains("state.json") == true)
        #expect(try message("{\"format\": 1")?.contains("it is not JSON") == true)
        #expect(try message("{\"format\": 1}")?.contains("'step' is missing") == true)
        let state = CheckpointState(
            step: 3, plan: plan(), tokenizerFingerprint: "a", tokens: TokenCounts(generated: 5, trained: 5),
            pending: nil, before: nil, after: nil)
        try state.write(to: folder)
        #expect(try CheckpointState.read(from: folder) == state)
        var unbalanced = state
        unbalanced.tokens.trained = 4
        try unbalanced.write(to: folder)
        let error = #expect(throws: LearnerError.self) { try CheckpointState.read(from: folder) }
        #expect(error?.description.contains("do not add up") == true)
    }

    /// Any file can have the layout: no number in it may stop the process.
    @Test(arguments: [
        (step: UInt64.max, prompts: 2, trained: UInt64(0)), (step: 1, prompts: -1, trained: 0),
        (step: 1, prompts: 2, trained: .max),
    ])
    func numbersBeyondReasonAreRefused(_ numbers: (step: UInt64, prompts: Int, trained: UInt64)) throws {
        let text = """
            {"format": 1, "step": \(numbers.step), "cursor": 2, "seed": 1, "promptsPerStep": \(numbers.prompts),
            "samplesPerPrompt": 1, "promptsDigest": "", "tokenizerFingerprint": "",
            "tokens": {"generated": 0, "trained": \(numbers.trained), "discarded": 1, "inFlight": 0}}
            """
        let error = #expect(throws: LearnerError.self) { try CheckpointState.parse(text, path: "c/state.json") }
        #expect(error?.description.contains("c/state.json: the counts in it do not add up") == true)
    }
}
