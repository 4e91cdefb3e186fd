import Foundation
import TestSupport
import Testing

/// Pre-training and supervised fine-tuning by the commands.
@Suite(.serialized) struct SupervisedCommandTests {
    private static func writeConfiguration(_ folder: String, steps: Int = 8) throws {
        try write(
            """
            name: tiny
            student: { dtype: f32 }
            shape: { layers: 2, hidden: 32, heads: 4, kv_heads: 2, intermediate: 64, context: 64 }
            objective: { kind: supervised }
            data: { task: "arithmetic:digits=1", heldout_count: 12, prompts_per_step: 8 }
            sampling: { max_tokens: 16 }
            training: { steps: \(steps), learning_rate: 5.0e-3, schedule: cosine, token_budget: 128 }
            pipeline: { threads: 1 }
            evaluation: { every: 4 }
            checkpoint: { every: 3, keep_last: 9 }

            """, "\(folder)/pretrain.yaml")
    }

    private static let reference = Task {
        () async throws -> (metrics: [[String: String]], weights: Data, output: String) in
        try await withTemporaryFolder { folder in
            try writeConfiguration(folder)
            let result = try await Binary.run(["pretrain", "pretrain.yaml"], in: folder)
            try #require(result.status == 0, "\(result.errors)")
            return (
                try ProcessRunTests.metrics(folder), try ProcessRunTests.weights(folder), result.output + result.errors
            )
        }
    }

    @Test func aModelIsTrainedFromScratch() async throws {
        let reference = try await Self.reference.value
        #expect(reference.metrics.map { $0["step"] } == (0...8).map { "\($0)" })
        let losses = reference.metrics.compactMap { $0["loss"].flatMap(Double.init) }
        #expect(losses.count == 8 && losses[0] > 5 && losses[7] < losses[0] - 0.5, "\(losses)")
        let evaluated = reference.metrics.filter { $0["eval_pass_at_1"] != nil }
        #expect(evaluated.map { $0["step"] } == ["0", "4", "8"])
        #expect(evaluated.allSatisfy { $0["eval_teacher_kl"] == "<null>" || $0["eval_teacher_kl"] == "null" })
        for text in ["loss", "held-out right", "held-out problems right", "compute: ", "generate runs/tiny"] {
            #expect(reference.output.contains(text), "\(reference.output)")
        }
    }

    /// Stopped by a signal and resumed, from the checkpoint of some step: the same values and the same weights.
    @Test func interruptedAndResumedItIsTheSame() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try Self.writeConfiguration(folder)
            let running = try Binary.Running(
                ["pretrain", "pretrain.yaml", "--time-limit", "0.1s"], input: "", folder: folder, environment: [:])
            let stopped = await running.finish(within: 300)
            #expect(stopped.status == 75, "\(stopped.errors)")
            #expect(try ProcessRunTests.metrics(folder).count < 9)
            let wrong = try await Binary.run(["pretrain", "pretrain.yaml", "--resume", "--hidden", "64"], in: folder)
            #expect(wrong.status == 2 && wrong.errors.contains("shape.hidden is 64 now and was 32"), "\(wrong.errors)")
            let resumed = try await Binary.run(["run", "pretrain.yaml", "--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try ProcessRunTests.metrics(folder) == reference.metrics)
            #expect(try ProcessRunTests.weights(folder) == reference.weights)
        }
    }

    @Test func aModelLearnsFromAFileOfResponses() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/student", seed: 2)
            try write(
                """
                {"prompt": "Name a river.", "response": "The Elbe."}
                {"messages": [{"role": "user", "content": "Name a lake."}, {"role": "assistant", "content": "Lake Geneva."}]}
                {"prompt": "Say yes.", "response": "Yes.", "answer": "Yes.", "verifier": "exact", "teacher": "somebody"}

                """, "\(folder)/examples.jsonl")
            try write(
                """
                {"prompt": "Say yes.", "answer": "Yes.", "verifier": "exact"}
                {"messages": [{"role": "user", "content": "Say yes."}, {"role": "assistant", "content": "Yes."}], "answer": "Yes.", "verifier": "exact"}

                """, "\(folder)/heldout.jsonl"
            )
            try write(
                """
                name: tiny
                student: { model: student, dtype: f32 }
                objective: { kind: supervised }
                data: { prompts: examples.jsonl, heldout: heldout.jsonl, prompts_per_step: 3 }
                sampling: { max_tokens: 24, temperature: 0.01 }
                training: { steps: 60, learning_rate: 1.0e-2, clip_grad_norm: 1 }
                evaluation: { every: 60 }

                """, "\(folder)/sft.yaml")
            let result = try await Binary.run(["run", "sft.yaml"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let metrics = try ProcessRunTests.metrics(folder)
            #expect(metrics.first?["eval_pass_at_1"] == "0.0" && metrics.last?["eval_pass_at_1"] == "1.0")
            let losses = metrics.compactMap { $0["eval_cross_entropy"].flatMap(Double.init) }
            #expect(losses.count == 2 && losses[0] > 5 && losses[1] < 0.1, "\(losses)")
            for text in ["held-out cross-entropy: \(String(losses[0]).prefix(3))", "before, 0.0"] {
                #expect(result.output.contains(text), "\(result.output)")
            }
            let model = "runs/tiny/checkpoints/latest/model"
            let answer = try await Binary.run(
                ["generate", model, "--chat", "Name a lake.", "--temperature", "0", "--max-tokens", "24"], in: folder)
            #expect(answer.output == "Lake Geneva.\n", "\(answer.output)")
        }
    }

    @Test(.enabled(if: Transformers.python != nil, "no Python with transformers; set OPD_PYTHON to one"))
    func transformersReadsAModelFromScratch() async throws {
        try await withTemporaryFolder { folder in
            let made = try await Binary.run(
                ["init", "model", "--layers", "2", "--hidden", "32", "--intermediate", "64", "--context", "64"],
                in: folder)
            #expect(made.status == 0, "\(made.errors)")
            let ids = Array("37+58=".utf8).map(Int.init) + [256]
            let scored = try await Binary.run(["score", "model", "--dtype", "f32"], input: "\(ids)\n", in: folder)
            let ours = try JSONDecoder().decode([Double].self, from: Data(scored.output.utf8))
            let theirs = try await Transformers.logprobs(model: "\(folder)/model", ids: ids)
            #expect(zip(ours, theirs).allSatisfy { abs($0 - $1) < 1e-4 } && ours.count == theirs.count)
            let text = "37+58=7+8 é\n"
            #expect(
                try await Transformers.tokenIDs(model: "\(folder)/model", text: text + "<|end|>")
                    == Array(text.utf8).map(Int.init) + [256])
        }
    }

    @Test func equalSeedsGiveEqualModels() async throws {
        try await withTemporaryFolder { folder in
            let shape = ["--layers", "1", "--hidden", "16", "--heads", "2", "--intermediate", "24"]
            func weights(_ name: String, _ seed: String) async throws -> Data {
                let made = try await Binary.run(["init", name, "--shape-seed", seed] + shape, in: folder)
                #expect(made.status == 0, "\(made.errors)")
                return try Data(contentsOf: URL(filePath: "\(folder)/\(name)/model.safetensors"))
            }
            let first = try await weights("a", "1"), again = try await weights("b", "1")
            let other = try await weights("c", "2")
            #expect(first == again && first != other)
            let over = try await Binary.run(["init", "a"] + shape, in: folder)
            #expect(over.status == 2 && over.errors == "error: a: holds a model; give another folder\n")
            let odd = try await Binary.run(["init", "d", "--hidden", "30", "--heads", "4"], in: folder)
            #expect(odd.status == 2 && odd.errors.contains("hidden 30 is not a multiple of heads 4"), "\(odd.errors)")
        }
    }

    @Test(arguments: [
        ("data.prompts=x.jsonl", "data.task: data.prompts is given too; give one"),
        ("student.model=pretrain.yaml", "shape.layers: student.model is given too; give one"),
        ("data.task=sums", "data.task: unknown task 'sums'; expected one of arithmetic, format"),
        ("objective.kind=distillation", "teachers: missing; name at least one teacher"),
        ("shape.layers=0", "student.model: missing; a path: model that is trained"),
        // Sampled responses are cut where the context ends; examples must fit.
        ("shape.context=19", "of 12 prompts leave less than sampling.max_tokens 16 of the context"),
        ("shape.context=15", "has 16 tokens with its response, but the student's context is 15"),
        ("sampling.max_tokens=4", ""),
    ])
    func whatCannotBeIsSaid(override: String, message: String) async throws {
        try await withTemporaryFolder { folder in
            try Self.writeConfiguration(folder, steps: 1)
            let result = try await Binary.run(["run", "pretrain.yaml", "--set", override], in: folder)
            let runs = message.isEmpty || message.contains("leave less than")
            #expect(result.status == (runs ? 0 : 2), "\(result.errors)")
            #expect((result.output + result.errors).contains(message) || message.isEmpty, "\(result.errors)")
        }
    }
}
