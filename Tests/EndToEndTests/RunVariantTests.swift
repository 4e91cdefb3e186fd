import Foundation
import TestSupport
import Testing

/// Whole runs of tiny models that need more than the plain one.
@Suite(.serialized) struct RunVariantTests {
    private static func samples(_ folder: String) throws -> [[String: Any]] {
        try String(contentsOfFile: "\(folder)/runs/tiny/samples.jsonl", encoding: .utf8).split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    /// What `opd score` says of `ids` after `prompt`.
    private static func scores(_ model: String, _ prompt: String, _ ids: [Int], _ folder: String) async throws
        -> [Double]
    {
        let text = String(decoding: try JSONEncoder().encode(prompt), as: UTF8.self)
        let tokenized = try await Binary.run(["tokenize", model], input: text + "\n", in: folder)
        let promptIDs = try JSONDecoder().decode([Int].self, from: Data(tokenized.output.utf8))
        let scored = try await Binary.run(
            ["score", model, "--dtype", "f32"], input: "\(promptIDs + ids)\n", in: folder)
        return try JSONDecoder().decode([Double].self, from: Data(scored.output.utf8)).suffix(ids.count)
    }

    @Test func everyPromptIsGradedByTheTeacherItNames() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 3)
            try TinyModel.write(to: "\(folder)/poet", seed: 7)
            try write(
                ["plain", "poet", "poet", "plain"].enumerated().map {
                    "{\"prompt\": \"Line \($0)\", \"teacher\": \"\($1)\"}\n"
                }.joined(), "\(folder)/prompts.jsonl")
            try write("{\"prompt\": \"Name a lake.\", \"teacher\": \"plain\"}\n", "\(folder)/heldout.jsonl")
            let configuration = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8).replacingOccurrences(
                of: "{ default: { model: teacher, dtype: f32 } }",
                with: "{ plain: { model: teacher, dtype: f32 }, poet: { model: poet, dtype: f32 } }")
            try write(configuration, "\(folder)/run.yaml")
            let result = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let samples = try Self.samples(folder)
            for (teacher, model) in [("plain", "teacher"), ("poet", "poet")] {
                let sample = try #require(samples.last { $0["teacher"] as? String == teacher })
                let recorded = try #require(sample["teacher_logprobs"] as? [Double])
                let prompt = try #require(sample["prompt"] as? String), ids = try #require(sample["ids"] as? [Int])
                let expected = try await Self.scores(model, prompt, ids, folder)
                #expect(zip(recorded, expected).allSatisfy { abs($0 - $1) < 1e-5 } && recorded.count == expected.count)
                let other = try await Self.scores(model == "poet" ? "teacher" : "poet", prompt, ids, folder)
                #expect(zip(recorded, other).contains { abs($0 - $1) > 1e-3 }, "the teachers differ")
            }
        }
    }

    /// Workers that sample ahead take new weights into use in each way there is.
    @Test(arguments: [
        ["pipeline.swap_cache=recompute"], ["pipeline.weight_swap=between_sequences"],
        ["lora.rank=2", "pipeline.swap_cache=recompute"],
    ]) func newWeightsComeWhileSequencesRun(settings: [String]) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 8)
            let result = try await Binary.run(
                ["run", "run.yaml"]
                    + (settings + ["pipeline.max_staleness=2", "objective.loss=ppo_clip"]).flatMap { ["--set", $0] },
                in: folder)
            try #require(result.status == 0, "\(result.errors)")
            let staleness = try ProcessRunTests.metrics(folder).compactMap { $0["staleness_max"] }
            // The first line is the evaluation before the first step.
            #expect(staleness.count == 9 && staleness.dropFirst().allSatisfy(["0", "1", "2"].contains))
        }
    }

    @Test(.enabled(if: getuid() == 0, "mounting needs root"))
    func aFullDiskAtACheckpointIsAWarning() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 8)
            let runs = "\(folder)/runs"
            try FileManager.default.createDirectory(atPath: runs, withIntermediateDirectories: true)
            // Room for one checkpoint of about 0.4 MB and the logs, not for two.
            guard mount("tmpfs", runs, "tmpfs", 0, "size=700k") == 0 else { return }
            defer { umount2(runs, Int32(MNT_DETACH)) }
            let result = try await Binary.run(["run", "run.yaml", "--set", "checkpoint.every=3"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.errors.contains("No space left on device"), "\(result.errors)")
            #expect(result.errors.contains("the last good one is step-000003"), "\(result.errors)")
            #expect(try ProcessRunTests.metrics(folder).last?["step"] == "8", "the run goes on")
            let inspected = try await Binary.run(["inspect", "runs/tiny/checkpoints/latest"], in: folder)
            #expect(inspected.status == 0 && inspected.output.contains("2 layers"), "\(inspected.errors)")
        }
    }

    @Test(.enabled(if: Transformers.python != nil, "no Python with transformers; set OPD_PYTHON to one"))
    func transformersReadsTheResultAndAgrees() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 2)
            #expect(try await Binary.run(["run", "run.yaml", "--quiet"], in: folder).status == 0)
            let model = "runs/tiny/checkpoints/latest/model"
            let ids = (0..<40).map { 7 + 13 * $0 % 600 }
            let scored = try await Binary.run(["score", model, "--dtype", "f32"], input: "\(ids)\n", in: folder)
            let ours = try JSONDecoder().decode([Double].self, from: Data(scored.output.utf8))
            let theirs = try await Transformers.logprobs(model: "\(folder)/\(model)", ids: ids)
            #expect(ours.count == 39 && theirs.count == 39)
            #expect(zip(ours, theirs).allSatisfy { abs($0 - $1) < 1e-4 })
        }
    }
}

/// Hugging Face transformers, of the Python that `OPD_PYTHON` names.
/// The library that users load models with.
enum Transformers {
    static let python: String? = {
        guard let python = ProcessInfo.processInfo.environment["OPD_PYTHON"] else { return nil }
        return (try? start(python, "import torch, transformers").0)?.isSuccess == true ? python : nil
    }()

    /// The Python, where it has peft, too.
    static let peft: String? = python.flatMap { python in
        (try? start(python, "import peft").0)?.isSuccess == true ? python : nil
    }

    /// - Parameter adapters: a folder of peft's; nil: the model alone.
    static func logprobs(model: String, adapters: String? = nil, ids: [Int]) async throws -> [Double] {
        let script = """
            import sys, json, torch, transformers
            model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
            ids = torch.tensor([json.loads(sys.argv[2])])
            if sys.argv[3]:
                import peft
                model = peft.PeftModel.from_pretrained(model, sys.argv[3])
            with torch.no_grad():
                logprobs = torch.log_softmax(model(ids).logits[0, :-1], -1)
            print(json.dumps(logprobs.gather(-1, ids[0, 1:, None])[:, 0].tolist()))
            """
        let (_, output) = try start(python ?? "", script, model, "\(ids)", adapters ?? "")
        return try JSONDecoder().decode([Double].self, from: output)
    }

    /// Token ids of a text, without special tokens added.
    static func tokenIDs(model: String, text: String) async throws -> [Int] {
        let script = """
            import sys, json, transformers
            tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
            ids = tokenizer(sys.argv[2], add_special_tokens=False).input_ids
            assert tokenizer.decode(ids) == sys.argv[2]
            print(json.dumps(ids))
            """
        let (_, output) = try start(python ?? "", script, model, text)
        return try JSONDecoder().decode([Int].self, from: output)
    }

    private static func start(_ python: String, _ script: String, _ arguments: String...) throws -> (Process, Data) {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(filePath: python)
        process.arguments = ["-c", script] + arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process, output)
    }
}

extension Process {
    fileprivate var isSuccess: Bool { terminationStatus == 0 }
}
