import Distillation
import Engines
import TestSupport
import Testing
import Wire

/// Runs whose teachers are shown more than the student.
@Suite(.timeLimit(.minutes(3))) struct TeacherViewRunTests {
    /// A teacher that is another one where it is shown a prompt that begins with 9.
    actor ShownTeacher: ScoringBackend {
        nonisolated let tokenizerFingerprint = "unigram"
        nonisolated let preferredBatch = ScoringBatch(tokens: 4096, tasks: 64)

        func score(_ tasks: [ScoreTask]) -> [[Float]] {
            tasks.map { task in
                let name = task.promptIDs.first == 9 ? "other" : "default"
                let logprobs = UnigramModel.teacher(name).logprobs()
                return task.responseIDs.map { logprobs[Int($0)] }
            }
        }
    }

    /// The student learns from what its teacher says of the response after the teacher's own prompt, to the last bit.
    @Test(arguments: [false, true]) func theTeachersPromptDecides(sockets: Bool) async throws {
        var shown = plan(steps: 6, prompts: 4, samples: 2, heldout: 2, teachers: ["default"])
        for index in shown.prompts.indices {
            shown.prompts[index].teacherView = PromptView(ids: [9] + shown.prompts[index].ids, text: "")
        }
        for index in shown.heldout.indices {
            shown.heldout[index].teacherView = PromptView(ids: [9] + shown.heldout[index].ids, text: "")
        }
        let run = TestRun(plan: shown, checkpointEvery: 0, sockets: sockets)
        let trainer = UnigramTrainer(duration: .milliseconds(1))
        let learner = try run.learner(trainer: trainer)
        let members = [try run.worker(), try run.scorer(backend: ShownTeacher())]
        #expect(try await learner.run().end == .completed)
        for member in members { _ = try await member.task.value }
        let other = TestRun(
            plan: plan(steps: 6, prompts: 4, samples: 2, heldout: 2, teachers: ["other"]), checkpointEvery: 0)
        let (expected, model) = try await other.complete(
            UnigramTrainer(duration: .milliseconds(1)), workers: 1, scorers: 1)
        #expect(await trainer.model == model)
        #expect(run.recorder.timeless.map(\.training) == expected.map(\.training))
        #expect(run.recorder.timeless.map(\.evaluation?.teacherKL) == expected.map(\.evaluation?.teacherKL))
    }
}
