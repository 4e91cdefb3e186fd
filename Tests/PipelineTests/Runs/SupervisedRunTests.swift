import Distillation
import Exchange
import Foundation
import Logging
import Pipeline
import RunFiles
import Testing
import Wire

/// Supervised runs of unigram models: a loop with the checkpoints and records of a learner, and no members.
@Suite(.timeLimit(.minutes(5))) struct SupervisedRunTests {
    /// Responses of one pass, far from what the student says by itself.
    static let examples = (0..<10).map { index in
        SupervisedExample(promptIDs: [Int32(index)], responseIDs: [2, 4, Int32(2 + index % 3), 0])
    }

    /// Says yes to responses that contain token 2.
    static let check = AnswerCheck.containing("2")

    final class Run: Sendable {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("opd-supervised-\(UUID())").path
        let recorder = MemoryRecorder()
        let steps: UInt64
        let logger: Logger
        let stepGuard: StepGuard
        let target: RunTarget
        var store: CheckpointStore { CheckpointStore(folder: "\(folder)/checkpoints") }

        init(steps: UInt64 = 9, stepGuard: StepGuard = StepGuard(), target: RunTarget = RunTarget()) {
            self.steps = steps
            var logger = Logger(label: "opd.test")
            logger.logLevel = .critical
            self.logger = logger
            self.stepGuard = stepGuard
            self.target = target
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func learner(_ trainer: UnigramTrainer, resume: Bool = false) throws -> SupervisedLearner {
            let sampling = SamplingSettings(maxTokens: 6, temperature: 1, topP: 1, topK: 0, stopTokenIDs: [0])
            let heldout = (0..<60).map { index in
                // Every third comes with a response.
                Prompt(
                    ids: [Int32(index), 7], teacher: nil, check: SupervisedRunTests.check,
                    responseIDs: index % 3 == 0 ? [2, 4, 3, 0] : nil)
            }
            let plan = RunPlan(
                prompts: SupervisedRunTests.examples.map { Prompt(ids: $0.promptIDs + $0.responseIDs, teacher: nil) },
                heldout: heldout, seed: 3, steps: steps, promptsPerStep: 4, samplesPerPrompt: 1, evaluationEvery: 3,
                sampling: sampling)
            var options = RunOptions(plan: plan, learningRate: { 1 / Double($0 + 1) })
            options.checkpoints.every = 2
            options.stepGuard = stepGuard
            options.target = target
            options.costModel = CostModel(student: { Double($0 + 10 * $1) })
            try store.prepare()
            var resuming: (checkpoint: Checkpoint, state: CheckpointState)?
            if resume, let checkpoint = store.latest() {
                let state = try CheckpointState.read(from: checkpoint.path)
                try state.check(continuedBy: plan, tokenizerFingerprint: "unigram")
                recorder.cut(for: state)
                resuming = (checkpoint, state)
            }
            return SupervisedLearner(
                options: options, backend: trainer,
                source: ListedExamples(SupervisedRunTests.examples, batchSize: 4, seed: 3, shuffled: true),
                evaluator: HeldoutEvaluator(
                    sampler: UnigramSampler(pause: .zero),
                    judge: ResponseJudge(logger: logger) { $0.map { "\($0)" }.joined() }),
                checkpoints: store, resuming: resuming, recorder: recorder, logger: logger)
        }
    }

    static let reference = Task {
        let run = Run(), trainer = UnigramTrainer()
        let outcome = try await run.learner(trainer).run()
        #expect(outcome.end == .completed && outcome.version == 9)
        return (metrics: run.recorder.timeless, model: await trainer.model, samples: run.recorder.all.samples.count)
    }

    @Test func itLearnsToImitate() async throws {
        let reference = try await Self.reference.value
        #expect(reference.metrics.map(\.step) == Array(0...9))
        let losses = reference.metrics.compactMap { $0.training?.loss }
        #expect(losses.count == 9 && losses[8] < losses[0] * 0.7, "\(losses)")
        for metrics in reference.metrics {
            #expect(metrics.tokens.balances && metrics.tokens.trained == metrics.step * 16)
            // Each step: 4 examples of one prompt token and four others, forward and backward.
            #expect(metrics.cost == RunCost(training: Double(metrics.step) * 4 * 3 * 41))
            #expect(metrics.training?.ratioMean == nil && metrics.training?.teacherKL == nil)
        }
        let evaluations = reference.metrics.filter { $0.evaluation != nil }
        #expect(evaluations.map(\.step) == [0, 3, 6, 9])
        let heldoutLosses = evaluations.compactMap { $0.evaluation?.crossEntropy }
        let logprobs = UnigramModel.student.logprobs()
        let expected = -[2, 4, 3, 0].reduce(0.0) { $0 + Double(logprobs[$1]) } / 4
        #expect(
            heldoutLosses.count == 4 && abs(heldoutLosses[0] - expected) < 1e-12 && heldoutLosses[3] < heldoutLosses[0],
            "\(heldoutLosses)")
        let rates = evaluations.compactMap { $0.evaluation?.passRate }
        #expect(rates.count == 4 && rates[3] > rates[0], "\(rates)")
        #expect(evaluations.allSatisfy { $0.evaluation?.teacherKL == nil })
        #expect(reference.samples == 4 * 60)
    }

    /// The first step's loss is the mean cross-entropy of the batch under the weights it began with.
    @Test func theLossIsTheMeanCrossEntropy() async throws {
        let reference = try await Self.reference.value
        var source = ListedExamples(Self.examples, batchSize: 4, seed: 3, shuffled: true)
        let ids = source.batch(step: 0).flatMap(\.responseIDs)
        let logprobs = UnigramModel.student.logprobs()
        let expected = -ids.reduce(0.0) { $0 + Double(logprobs[Int($1)]) } / Double(ids.count)
        #expect(try abs(#require(reference.metrics[1].training).loss - expected) < 1e-12)
    }

    @Test(arguments: [1, 3, 6]) func stoppedAndResumedItIsTheSameRun(after steps: Int) async throws {
        let reference = try await Self.reference.value
        let run = Run(), first = UnigramTrainer()
        let learner = try run.learner(first)
        let running = Task { try await learner.run() }
        #expect(await eventually { await first.stepsBegun >= steps })
        await learner.stop("SIGTERM")
        let outcome = try await running.value
        #expect(outcome.version < 9 && outcome.end == .stopped("SIGTERM"))
        let second = UnigramTrainer()
        #expect(try await run.learner(second, resume: true).run().end == .completed)
        #expect(run.recorder.timeless == reference.metrics)
        #expect(await second.model == reference.model)
    }

    /// Killed between checkpoints: what came after the last one is done again, and nothing is told twice.
    @Test func killedAndResumedItIsTheSameRun() async throws {
        let reference = try await Self.reference.value
        let run = Run(), first = UnigramTrainer()
        let learner = try run.learner(first)
        let running = Task { try await learner.run() }
        #expect(await eventually { run.recorder.all.metrics.count >= 7 })
        await first.kill()
        await #expect(throws: EngineFailure.self) { try await running.value }
        let second = UnigramTrainer()
        #expect(try await run.learner(second, resume: true).run().end == .completed)
        #expect(run.recorder.timeless == reference.metrics)
        #expect(await second.model == reference.model)
    }

    @Test func aBadStepIsGivenUpOrEndsTheRun() async throws {
        let run = Run(stepGuard: StepGuard(limitInARow: 2))
        let outcome = try await run.learner(UnigramTrainer(explodesAt: [2, 5])).run()
        #expect(outcome.end == .completed && outcome.tokens.discarded == 32 && outcome.tokens.balances)
        #expect(run.recorder.all.metrics.filter { $0.skipped != nil }.map(\.step) == [3, 6])
        let stopping = Run(stepGuard: StepGuard(limitInARow: 2))
        let error = await #expect(throws: LearnerError.self) {
            try await stopping.learner(UnigramTrainer(explodesAt: [4, 5])).run()
        }
        #expect(error?.code == .badStep)
        #expect(error?.message.hasPrefix("step 6, the last of 2 bad steps in a row: the loss is") == true)
        #expect(stopping.store.latest()?.step == 5)
    }

    /// The run ends at the evaluation that has its target, and a run that has it is not trained further.
    @Test func itEndsAtItsTarget() async throws {
        let reference = try await Self.reference.value
        let rates = reference.metrics.compactMap { $0.evaluation?.passRate }
        let run = Run(target: RunTarget(passRate: rates[1])), trainer = UnigramTrainer()
        let outcome = try await run.learner(trainer).run()
        #expect(outcome.end == .reached("pass@1 \(rates[1]) has reached \(rates[1])") && outcome.version == 3)
        #expect(run.recorder.timeless[...] == reference.metrics.prefix(4))
        #expect(run.store.latest()?.step == 3)
        let again = UnigramTrainer()
        #expect(try await run.learner(again, resume: true).run().end == outcome.end)
        #expect(await again.stepsBegun == 0)
    }

    /// A stop that comes after the evaluation that has the target, while its checkpoint is written, stops nothing.
    @Test func aStopAfterTheTargetChangesNothing() async throws {
        let rates = try await Self.reference.value.metrics.compactMap { $0.evaluation?.passRate }
        let run = Run(target: RunTarget(passRate: rates[1]))
        let learner = try run.learner(UnigramTrainer(saving: 0.3))
        let running = Task { try await learner.run() }
        #expect(await eventually { run.recorder.all.metrics.count == 4 })
        await learner.stop("SIGTERM")
        #expect(try await running.value.end == .reached("pass@1 \(rates[1]) has reached \(rates[1])"))
    }

    /// A batch depends on the step's number alone, and a pass over the examples holds each once.
    @Test func batchesAreAFunctionOfTheStep() throws {
        var one = ListedExamples(Self.examples, batchSize: 5, seed: 8, shuffled: true), two = one
        let batches = (0..<6 as Range<UInt64>).map { one.batch(step: $0) }
        for step in [4, 0, 5, 2] as [UInt64] { #expect(two.batch(step: step) == batches[Int(step)]) }
        for pass in 0..<3 {
            let seen = (batches[2 * pass] + batches[2 * pass + 1]).map(\.promptIDs)
            #expect(Set(seen) == Set(Self.examples.map(\.promptIDs)))
        }
        let task = try ExerciseGenerator("arithmetic")
        let generated = GeneratedExamples(task, seed: 1, batchSize: 3) {
            SupervisedExample(
                promptIDs: $0.prompt.utf8.map { Int32($0) }, responseIDs: $0.response.utf8.map { Int32($0) })
        }
        let batch = try generated.batch(step: 7)
        let again = try generated.batch(step: 7), next = try generated.batch(step: 8)
        #expect(batch == again && batch != next)
        #expect(batch[2].promptIDs == task.exercise(.training, seed: 1, index: 23).prompt.utf8.map { Int32($0) })
    }
}

extension AnswerCheck {
    /// Passes what contains a text.
    static func containing(_ text: String) -> AnswerCheck? {
        try? AnswerCheck(answer: "", verifier: .rules([.contains(text)]))
    }
}
