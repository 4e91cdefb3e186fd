import Foundation
import TestSupport
import Testing

/// Whatever is wrong, a person gets one line and a script the right exit status.
@Suite struct BadInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        var status: Int32
        /// The whole error line after "error: ", or its beginning when it ends in "...".
        var message: String
        var input = ""
        var testDescription: String { arguments.joined(separator: " ") }
    }

    @Test(arguments: [
        Case(arguments: ["frobnicate"], status: 2, message: "Unexpected argument 'frobnicate' (see 'opd --help')"),
        Case(arguments: ["score"], status: 2, message: "Missing expected argument '<model>' (see 'opd --help')"),
        Case(
            arguments: ["score", "model", "--dtype", "f16"], status: 2,
            message: "The value 'f16' is invalid for '--dtype <dtype>'..."),
        Case(arguments: ["score", "model", "--threads", "-1"], status: 2, message: "..."),
        Case(arguments: ["score", "none"], status: 1, message: "none: no such model folder or GGUF file"),
        Case(
            arguments: ["score", "a\u{1b}[2J\nb\u{9b}c"], status: 1,
            message: "a?[2J\\nb?c: no such model folder or GGUF file"),
        Case(
            arguments: ["score", "model"], status: 1,
            message: "line 1: token id 704 is outside the model's vocabulary of 704", input: "[1,704]"),
        Case(arguments: ["score", "model"], status: 1, message: "line 1: expected at least one token id", input: "[]"),
        Case(
            arguments: ["score", "model"], status: 1, message: "line 1: expected a JSON array of token ids",
            input: "[1.5]"),
        Case(
            arguments: ["score", "model"], status: 1, message: "line 2: expected a JSON array of token ids...",
            input: "[1]\n\n[2]"),
        Case(
            arguments: ["tokenize", "none.json"], status: 1,
            message: "none.json: no such model folder, tokenizer.json or GGUF file"),
        Case(arguments: ["tokenize", "model"], status: 1, message: "line 1: expected a JSON string", input: "[1]"),
        Case(
            arguments: ["tokenize", "model"], status: 1, message: "line 1: expected a JSON string: ...", input: "\"open"
        ),
        Case(
            arguments: ["generate", "model"], status: 2, message: "give either --prompt or --chat (see 'opd --help')"),
        Case(
            arguments: ["generate", "model", "--prompt", "a", "--top-p", "0"], status: 2,
            message: "--top-p takes a number above 0 and at most 1 (see 'opd --help')"),
        Case(
            arguments: ["generate", "model", "--prompt", "a", "--max-tokens", "300"], status: 1,
            message: "the prompt has..."),
        Case(
            arguments: ["prune", "model", "out", "--drop", "1,x"], status: 2,
            message: "--drop takes layer numbers with commas, got '1,x'"),
        Case(
            arguments: ["prune", "model", "out", "--drop", "9"], status: 1,
            message: "layer 9 cannot be dropped: model has layers 0 to 1"),
        Case(arguments: ["convert", "model", "model"], status: 1, message: "..."),
        Case(arguments: ["inspect", "unsupported"], status: 1, message: "..."),
        Case(arguments: ["inspect", "truncated"], status: 1, message: "truncated/model.safetensors: ..."),
        Case(arguments: ["inspect", "broken.gguf"], status: 1, message: "broken.gguf: ..."),
        Case(arguments: ["bench", "sleep", "model"], status: 2, message: "The value 'sleep' is invalid..."),
        Case(
            arguments: ["bench", "score", "model", "--tokens", "9999"], status: 2,
            message: "--prompt and --tokens make 10000 tokens, but the model's context is 256"),
        Case(arguments: ["config", "none.yaml"], status: 2, message: "none.yaml: no such file"),
        Case(
            arguments: ["config", "mistyped.yaml"], status: 2,
            message: "mistyped.yaml:6: training.learning_rte: unknown key; did you mean 'learning_rate'?"),
        Case(
            arguments: ["config", "run.yaml", "--set", "training.steps=zero"], status: 2,
            message: "--set: training.steps: expected an integer from 1 to 1000000000, got 'zero'"),
        Case(
            arguments: ["config", "run.yaml", "--set", "data.prompts=none.jsonl"], status: 2,
            message: "--set: data.prompts: no such file: 'none.jsonl'"),
        Case(
            arguments: ["config", "run.yaml", "--set", "data.prompts=bad.jsonl"], status: 2,
            message: "bad.jsonl:2: unknown key 'promt'; did you mean 'prompt'?"),
        Case(arguments: ["run", "run.yaml", "--set", "pipeline.lease_s=0.1"], status: 2, message: "..."),
        Case(
            arguments: ["run", "run.yaml", "--workers", "1001"], status: 2,
            message: "--set: pipeline.workers: expected..."),
        Case(
            arguments: ["run", "run.yaml", "--set", "run_folder=model"], status: 2,
            message: "model exists; continue it with --resume, begin anew with --again or choose another name"),
        Case(
            arguments: ["run", "run.yaml", "--again", "--set", "run_folder=model"], status: 2,
            message: "model is not the folder of a run; choose another name or run_folder"),
        Case(
            arguments: ["run", "run.yaml", "--again", "--resume"], status: 2,
            message: "give either --again or --resume (see 'opd --help')"),
        Case(
            arguments: ["run", "run.yaml", "--set", "student.model=unsupported", "--set", "student.engine=torch"],
            status: 2, message: "rollout.engine: native does not sample with this student: ..."),
        Case(
            arguments: ["run", "run.yaml", "--quiet", "--verbose"], status: 2,
            message: "give either --quiet or --verbose (see 'opd --help')"),
    ])
    func oneLineAndTheRightStatus(bad: Case) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            try prepareBadFiles(in: folder)
            let result = try await Binary.run(bad.arguments, input: bad.input, in: folder)
            #expect(result.status == bad.status, "\(result.errors)")
            #expect(result.errorLines.count == 1, "\(result.errors)")
            let line = result.errorLines.last ?? ""
            let expected = "error: \(bad.message)"
            if expected.hasSuffix("...") {
                #expect(line.hasPrefix(String(expected.dropLast(3))), "\(line)")
            } else {
                #expect(line == expected)
            }
        }
    }

    private func prepareBadFiles(in folder: String) throws {
        let text = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8)
        try write(text.replacingOccurrences(of: "learning_rate", with: "learning_rte"), "\(folder)/mistyped.yaml")
        try write("{\"prompt\": \"a\"}\n{\"promt\": \"b\"}\n", "\(folder)/bad.jsonl")
        for name in ["unsupported", "truncated"] {
            try FileManager.default.copyItem(atPath: "\(folder)/model", toPath: "\(folder)/\(name)")
        }
        let config = try String(contentsOfFile: "\(folder)/model/config.json", encoding: .utf8)
        try write(
            config.replacingOccurrences(of: "LlamaForCausalLM", with: "GPT2LMHeadModel")
                .replacingOccurrences(of: "\"llama\"", with: "\"gpt2\""), "\(folder)/unsupported/config.json")
        let weights = try Data(contentsOf: URL(filePath: "\(folder)/model/model.safetensors"))
        try weights.prefix(weights.count / 2).write(to: URL(filePath: "\(folder)/truncated/model.safetensors"))
        try Data([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0] + [UInt8](repeating: 0xff, count: 16)).write(
            to: URL(filePath: "\(folder)/broken.gguf"))
    }

    @Test func everyProblemOfAConfigurationIsReported() async throws {
        try await withTemporaryFolder { folder in
            try write("name: x\ntraining: { steps: 0 }\nevaluation: { evry: 2 }\n", "\(folder)/run.yaml")
            let result = try await Binary.run(["config", "run.yaml"], in: folder)
            #expect(result.status == 2)
            #expect(result.errorLines.count == 5)
            #expect(result.errorLines.allSatisfy { $0.hasPrefix("error: run.yaml") })
            #expect(result.output == "")
        }
    }
}
