import Foundation
import JSON
import Models
import TestSupport
import Testing

/// `opd generate` and whole runs of every golden model, each as a student of a changed copy of itself.
@Suite(.serialized) struct FamilyRunTests {
    static let cases: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: TinyModel.golden)) ?? [])
        .filter { FileManager.default.fileExists(atPath: "\(TinyModel.golden)/\($0)/golden.safetensors") }.sorted()

    /// The text of a tokenizer.json of bytes behind the tokens that the golden models name: padding, start and end.
    static func tokenizer(in folder: String) throws -> String {
        let shape = ModelShape(layers: 1, hidden: 8, heads: 1, keyValueHeads: 1, intermediate: 8, context: 8)
        try ModelInitializer.write(to: folder, shape: shape, seed: 1)
        guard
            var json = try JSONValue.parse([UInt8](Data(contentsOf: URL(filePath: "\(folder)/tokenizer.json")))).object,
            var model = json["model"]?.object, let vocabulary = model["vocab"]?.object
        else { throw TestFileError(path: folder, code: EINVAL) }
        let special = ["<pad>", "<s>", "</s>"]
        let bytes = vocabulary.members.filter { ($0.value.int ?? 256) < 256 }
        let ids =
            special.enumerated().map { JSONObject.Member(key: $1, value: .integer($0)) }
            + bytes.map { .init(key: $0.key, value: .integer(($0.value.int ?? 0) + special.count)) }
        #expect(ids.count == 259)
        model["vocab"] = .object(JSONObject(ids))
        json["model"] = .object(model)
        json["added_tokens"] = .array(
            special.enumerated().map {
                [
                    "id": .integer($0), "content": .string($1), "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true,
                ]
            })
        return JSONValue.object(json).text() + "\n"
    }

    /// Copies a golden model with a tokenizer to `student`, and to `teacher` with matrices that are a little larger.
    static func writeModels(_ name: String, in folder: String) throws {
        let manager = FileManager.default
        try manager.createDirectory(atPath: "\(folder)/student", withIntermediateDirectories: true)
        for file in ["config.json", "generation_config.json", "model.safetensors"] {
            try manager.copyItem(
                atPath: "\(TinyModel.golden)/\(name)/\(file)", toPath: "\(folder)/student/\(file)")
        }
        try write(try tokenizer(in: "\(folder)/bytes"), "\(folder)/student/tokenizer.json")
        try write(
            #"{"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}"#,
            "\(folder)/student/tokenizer_config.json")
        let student = try ModelFiles.open("\(folder)/student")
        var values: [Float] = []
        let room = UnsafeMutableBufferPointer<Float>.allocate(
            capacity: student.configuration.parameters.map(\.count).max() ?? 1)
        room.initialize(repeating: 0)
        defer { room.deallocate() }
        try ModelWriter.write(
            to: "\(folder)/teacher", configuration: student.configuration, type: .f32, copyingTokenizerFrom: student
        ) { parameter in
            values = [Float](repeating: 0, count: parameter.count)
            try values.withUnsafeMutableBufferPointer { try student.read(parameter.name, into: $0) }
            for (index, value) in values.enumerated() { room[index] = parameter.isMatrix ? 1.2 * value : value }
            return UnsafeBufferPointer(rebasing: room[0..<parameter.count])
        }
    }

    /// A configuration whose longer prompt is beyond phi3-longrope's original context of 64, the shorter ones' responses
    /// grow towards it.
    static func writeRun(in folder: String, _ extra: String = "") throws {
        let long = String(repeating: "one two ", count: 9)
        try ["Name a river.", long, "Why is the sky blue? Answer it in one line."].map { "{\"prompt\": \"\($0)\"}\n" }
            .joined().write(toFile: "\(folder)/prompts.jsonl", atomically: true, encoding: .utf8)
        try write("{\"prompt\": \"Name a lake.\"}\n", "\(folder)/heldout.jsonl")
        try write(
            """
            name: tiny
            student: { model: student, dtype: f32 }
            teachers: { default: { model: teacher, dtype: f32 } }
            data: { prompts: prompts.jsonl, heldout: heldout.jsonl, prompts_per_step: 2, samples_per_prompt: 2 }
            sampling: { max_tokens: 32 }
            training: { steps: 10, learning_rate: 1.0e-3 }
            pipeline: { threads: 1, lease_s: 10, heartbeat_s: 0.2 }
            evaluation: { every: 5 }
            checkpoint: { every: 5, keep_last: 1 }
            \(extra)
            """, "\(folder)/run.yaml")
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    /// What is generated scores the same to the last digit, in both types, within longrope's border and beyond it.
    private func expectGenerates(_ model: String, in folder: String) async throws {
        for (dtype, prompt) in [("f32", "Once"), ("bf16", String(repeating: "and so on ", count: 8))] {
            let generated = try await Binary.run(
                [
                    "generate", model, "--prompt", prompt, "--max-tokens", "12", "--seed", "3", "--dtype", dtype,
                    "--json",
                ],
                in: folder)
            try #require(generated.status == 0, "\(model): \(generated.errors)")
            let result = try object(generated.output)
            let promptIDs = try #require(result["prompt_ids"] as? [Int]), ids = try #require(result["ids"] as? [Int])
            #expect(promptIDs.count >= prompt.utf8.count && !ids.isEmpty && ids.count <= 12)
            let scored = try await Binary.run(
                ["score", model, "--dtype", dtype], input: "\(promptIDs + ids)", in: folder)
            #expect(
                try JSONDecoder().decode([Double].self, from: Data(scored.output.utf8)).suffix(ids.count)
                    == (try #require(result["logprobs"] as? [Double]))[...])
        }
    }

    @Test(arguments: cases) func generatesAndLearns(name: String) async throws {
        try await withTemporaryFolder { folder in
            try Self.writeModels(name, in: folder)
            try Self.writeRun(in: folder)
            try await expectGenerates("student", in: folder)
            let result = try await Binary.run(["run", "run.yaml"], in: folder)
            try #require(result.status == 0, "\(result.errors)")
            let metrics = try ProcessRunTests.metrics(folder)
            #expect(metrics.map { $0["step"] } == (0...10).map { "\($0)" })
            for line in metrics.dropFirst() {
                #expect(line["ratio_mean"] == "1.0" && line["ratio_max"] == "1.0", "\(line)")
                #expect((line["grad_norm"].flatMap(Double.init) ?? 0) > 0, "\(line)")
            }
            let divergences = metrics.compactMap { $0["eval_teacher_kl"].flatMap(Double.init) }
            #expect(divergences.count == 3 && divergences.allSatisfy(\.isFinite) && divergences[0] > divergences[2])
            // What comes out is a model of the same kind.
            let path = "\(folder)/runs/tiny/checkpoints/latest/model"
            let (trained, student) = (try ModelFiles.open(path), try ModelFiles.open("\(folder)/student"))
            #expect(trained.configuration == student.configuration)
            #expect(try trained.fingerprint() != student.fingerprint())
            try await expectGenerates(path, in: folder)
        }
    }

    /// A mixture's adapters are those of attention; others are refused before the run begins.
    @Test func aMixtureLearnsWithAdapters() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeModels("qwen3-moe", in: folder)
            try Self.writeRun(in: folder, "lora: { rank: 2 }")
            let refused = try await Binary.run(["run", "run.yaml", "--set", "lora.targets=[gate_proj]"], in: folder)
            #expect(refused.status == 2 && refused.errorLines.count == 1, "\(refused.errors)")
            #expect(refused.errors.contains("gate_proj is no matrix with adapters of a qwen3_moe model; it has q_proj"))
            let result = try await Binary.run(["run", "run.yaml", "--again"], in: folder)
            try #require(result.status == 0, "\(result.errors)")
            let metrics = try ProcessRunTests.metrics(folder)
            #expect(metrics.count == 11 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            let trained = try ModelFiles.open("\(folder)/runs/tiny/checkpoints/latest/model")
            let student = try ModelFiles.open("\(folder)/student")
            for spec in student.configuration.parameters {
                let both = try [student, trained].map { model in
                    var values = [Float](repeating: 0, count: spec.count)
                    try values.withUnsafeMutableBufferPointer { try model.read(spec.name, into: $0) }
                    return values
                }
                #expect((both[0] != both[1]) == (spec.target != nil), "\(spec.name)")
            }
        }
    }

    /// A model that sees images is a student and a teacher by its text part; the rest is named once.
    @Test func partsThatAreLeftOutAreNamedAtTheStart() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeModels("gemma3", in: folder)
            try Self.writeRun(in: folder)
            let model = try ModelFiles.open("\(folder)/student")
            guard
                var text = try JSONValue.parse(
                    [UInt8](Data(contentsOf: URL(filePath: "\(folder)/student/config.json")))
                ).object
            else { throw TestFileError(path: folder, code: EINVAL) }
            text.members.removeAll { $0.key == "architectures" }
            let whole: JSONValue = [
                "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
                "text_config": .object(text), "vision_config": [:],
            ]
            try write(whole.text(), "\(folder)/student/config.json")
            let specs = model.configuration.parameters
            let parts = ["vision_tower.weight", "multi_modal_projector.weight"]
            var writer = try SafetensorsWriter(
                "\(folder)/whole.safetensors",
                entries: specs.map { .init("language_model." + $0.name, .f32, $0.shape) }
                    + parts.map { .init($0, .f32, [1]) })
            for spec in specs {
                var values = [Float](repeating: 0, count: spec.count)
                try values.withUnsafeMutableBufferPointer { try model.read(spec.name, into: $0) }
                try values.withUnsafeBufferPointer { try writer.append(floats: $0, as: .f32) }
            }
            for _ in parts { try [Float(1)].withUnsafeBufferPointer { try writer.append(floats: $0, as: .f32) } }
            try writer.finish()
            try FileManager.default.removeItem(atPath: "\(folder)/student/model.safetensors")
            try FileManager.default.moveItem(
                atPath: "\(folder)/whole.safetensors", toPath: "\(folder)/student/model.safetensors")
            let result = try await Binary.run(["run", "run.yaml", "--set", "training.steps=1"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let line = "student: its text part alone is read; left out: multi_modal_projector, vision_tower"
            #expect(result.errorLines.filter { $0.contains("left out") }.count == 1, "\(result.errors)")
            #expect(result.errors.contains(line), "\(result.errors)")
        }
    }
}
