import Foundation
import TestSupport
import Testing

/// What a start leaves behind, and what it says without one: `opd run --dry-run`.
@Suite struct StartTests {
    private func hasRunFolder(_ folder: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder)/runs/tiny")
    }

    /// Whatever ended a start before its first step, the mended run begins.
    @Test(arguments: [
        ["student.model=cut"], ["teachers.default.model=cut"], ["data.overlong=refuse", "data.prompts=long.jsonl"],
        ["pipeline.endpoint=tcp://0.0.0.0:5555"], ["student.engine=torch", "torch.python=/none"],
    ])
    func aStartThatFailsIsInNobodysWay(overrides: [String]) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            try TinyModel.write(to: "\(folder)/cut", seed: 1)
            let weights = try Data(contentsOf: URL(filePath: "\(folder)/cut/model.safetensors"))
            try weights.prefix(1500).write(to: URL(filePath: "\(folder)/cut/model.safetensors"))
            try write(
                "{\"prompt\": \"\(String(repeating: "0 1 2 ", count: 200))\"}\n", "\(folder)/long.jsonl")
            let failed = try await Binary.run(
                ["run", "run.yaml"] + overrides.flatMap { ["--set", $0] }, in: folder)
            #expect([1, 2].contains(failed.status) && failed.errors.contains("error: "), "\(failed.errors)")
            let mended = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(mended.status == 0, "\(mended.errors)")
            // A run that began is not taken for a start that failed.
            let next = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(next.status == 2 && next.errors.contains("runs/tiny exists; continue it with --resume"))
        }
    }

    /// A process that was killed while it started wrote logs, and nothing tells that it failed but that it is gone.
    @Test func aStartThatWasKilledIsInNobodysWay() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1_000_000)
            let running = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            while !FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/logs/run.log") {
                try await Task.sleep(for: .milliseconds(2))
            }
            let second = try await Binary.run(["run", "run.yaml", "--set", "training.steps=1"], in: folder)
            #expect(second.status == 2 && second.errors.contains("runs/tiny exists"), "\(second.errors)")
            kill(running.process.processIdentifier, SIGKILL)
            _ = await running.finish(within: 180)
        }
    }

    private func rehearsal(_ folder: String, _ overrides: [String] = []) async throws -> Binary.Output {
        let result = try await Binary.run(
            ["run", "run.yaml", "--dry-run"] + overrides.flatMap { ["--set", $0] }, in: folder)
        #expect(!hasRunFolder(folder))
        return result
    }

    @Test func aDryRunShowsThePromptAndWhatARunTakes() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let result = try await rehearsal(folder, ["sampling.stop=END"])
            #expect(result.status == 0, "\(result.errors)")
            for text in [
                "the first prompt, ", "<|im_start|>user\nName a river.<|im_end|>\n<|im_start|>assistant\n",
                "  \"<|im_start|>\"\n", "a response ends at 2 '<|im_end|>', at END, or at its length, 12 tokens",
                "5 prompts, the longest with ", " and 2 held-out prompts", "  learner  ", "  rollout worker  ",
                "  scorer, default  ", "a step, 2 prompts with 2 responses of 12 tokens each, takes at most about:",
                "  sampling  ", "  grading  ", "  training  ", "one after the other; 4 steps: ",
                "'tiny' can start; nothing was trained, and nothing is left behind",
            ] {
                #expect(result.output.contains(text), "\(text)\n\(result.output)")
            }
            // Every line of the token list is an id and a text, which make the prompt again.
            let lines = result.output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            let from = try #require(lines.firstIndex(of: "its tokens, and what they spell:"))
            let texts = lines[(from + 1)...].prefix { $0.first?.isNumber == true }.map { line -> String in
                let text = line.drop { $0.isNumber }.trimmingCharacters(in: .whitespaces)
                let parsed = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
                return parsed as? String ?? "?"
            }
            #expect(texts.joined() == "<|im_start|>user\nName a river.<|im_end|>\n<|im_start|>assistant\n")
            #expect(texts.count > 8)
            let run = try await Binary.run(["run", "run.yaml", "--set", "training.steps=1"], in: folder)
            #expect(run.status == 0, "\(run.errors)")
        }
    }

    /// Each kind of run has processes of its own, and a model from scratch is made nowhere.
    @Test func everyKindOfRunCanBeRehearsed() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let imitating = try await rehearsal(folder, ["objective.kind=off_policy"])
            #expect(imitating.status == 0 && imitating.output.contains("rollout worker, default"))
            #expect(imitating.output.contains("as they overlap") && !imitating.output.contains("grading"))
            let adapters = try await rehearsal(folder, ["lora.rank=2", "pipeline.max_staleness=1"])
            #expect(adapters.status == 0 && adapters.output.contains("as they overlap"), "\(adapters.errors)")
            try write(
                """
                name: tiny
                shape: { layers: 1, hidden: 32, heads: 4, kv_heads: 2, intermediate: 64, context: 64 }
                objective: { kind: supervised }
                data: { task: "arithmetic:digits=1", heldout_count: 12, prompts_per_step: 8 }
                pipeline: { threads: 1 }
                """, "\(folder)/run.yaml")
            let scratch = try await rehearsal(folder)
            #expect(scratch.status == 0 && scratch.output.contains("a step, 8 examples, takes"), "\(scratch.errors)")
            #expect(!scratch.output.contains("sampling  ") && scratch.output.contains("12 held-out prompts"))
        }
    }

    @Test(
        arguments: [
            (["student.model=cut"], 1, "cut/model.safetensors: "), (["teachers.default.model=cut"], 1, "cut/model.saf"),
            (["pipeline.endpoint=tcp://0.0.0.0:5555"], 2, "leaves this machine unencrypted"),
            (["teachers.default.model=other"], 2, "has another tokenizer than the student"),
        ] as [([String], Int32, String)])
    func aDryRunFindsWhatWouldEndAStart(overrides: [String], status: Int32, message: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try TinyModel.write(to: "\(folder)/other", seed: 1, tokenizer: "bpe-llama3")
            try TinyModel.write(to: "\(folder)/cut", seed: 1)
            let weights = try Data(contentsOf: URL(filePath: "\(folder)/cut/model.safetensors"))
            try weights.prefix(weights.count - 100).write(to: URL(filePath: "\(folder)/cut/model.safetensors"))
            let result = try await rehearsal(folder, overrides)
            #expect(result.status == status && result.errors.contains(message), "\(result.errors)")
            #expect(!result.output.contains("can start"))
        }
    }

    @Test func aDryRunSaysThatTheFolderIsTaken() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try FileManager.default.createDirectory(atPath: "\(folder)/runs/tiny", withIntermediateDirectories: true)
            let taken = try await Binary.run(["run", "run.yaml", "--dry-run"], in: folder)
            #expect(taken.status == 2 && taken.errors.contains("runs/tiny exists"), "\(taken.errors)")
            let both = try await Binary.run(["run", "run.yaml", "--dry-run", "--resume"], in: folder)
            #expect(both.status == 2 && both.errors.contains("give either --dry-run or --resume"))
        }
    }
}
