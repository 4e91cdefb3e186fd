import JSON
import Models
import TestSupport
import Testing

/// Folders of models of several parts, as versions of transformers name their tensors and ties, and of models that were
/// saved without a head.
@Suite struct TextPartTests {
    /// Writes a golden model's tensors under other names, and a config.json.
    private func write(
        _ source: ModelFiles, to folder: String, config: JSONValue, others: [String] = [], name: (String) -> String
    ) throws {
        try writeText(config.text(), to: folder + "/config.json")
        var tensors: [(SafetensorsWriter.Entry, [Float])] = try source.configuration.parameters.map { spec in
            (.init(name(spec.name), .f32, spec.shape), try GGUFTests.values(source, spec.name))
        }
        for other in others { tensors.append((.init(other, .f32, [2]), [1, 2])) }
        var writer = try SafetensorsWriter(folder + "/model.safetensors", entries: tensors.map(\.0))
        for (_, values) in tensors {
            try values.withUnsafeBufferPointer { try writer.append(floats: $0, as: .f32) }
        }
        try writer.finish()
    }

    private func config(_ name: String, _ change: (inout JSONObject) -> Void = { _ in }) throws -> JSONObject {
        let path = "\(Fixtures.repository)/Tests/Fixtures/golden/\(name)/config.json"
        var members = try #require(try JSONValue.parse(Fixtures.read(path)).object)
        change(&members)
        return members
    }

    /// The key of the whole ties the head, as in transformers 5, that of the text part, as in 4; what both deny is a head
    /// that is missing.
    @Test(
        arguments: [(true, true), (true, false), (false, true), (nil, true), (true, nil), (false, false)]
            as [(Bool?, Bool?)]
    ) func tiesOfBothVersions(whole: Bool?, text: Bool?) throws {
        let source = try GGUFTests.golden("llama-tied")
        try withTemporaryFolder { folder in
            var part = try config("llama-tied") { $0.members.removeAll { $0.key == "tie_word_embeddings" } }
            if let text { part["tie_word_embeddings"] = .bool(text) }
            var all: JSONObject = ["model_type": "mistral3", "text_config": .object(part)]
            if let whole { all["tie_word_embeddings"] = .bool(whole) }
            try write(source, to: folder, config: .object(all), others: ["model.vision_tower.a"]) {
                $0.replacing("model.", with: "model.language_model.", maxReplacements: 1)
            }
            guard whole == true || text == true else {
                let error = #expect(throws: ModelError.self) { try ModelFiles.open(folder) }
                #expect(error?.message.contains("'lm_head.weight' is missing") == true)
                return
            }
            let model = try ModelFiles.open(folder)
            #expect(model.configuration == source.configuration && model.leftOut == ["vision_tower"])
            #expect(try model.fingerprint() == source.fingerprint())
        }
    }

    /// A head that is stored is the model's, whatever the keys say.
    @Test func aStoredHeadCounts() throws {
        let source = try GGUFTests.golden("qwen2")
        try withTemporaryFolder { folder in
            let all: JSONObject = [
                "model_type": "llava", "text_config": .object(try config("qwen2")), "tie_word_embeddings": true,
            ]
            try write(source, to: folder, config: .object(all), others: ["multi_modal_projector.linear_1.bias"]) {
                "language_model." + $0
            }
            let model = try ModelFiles.open(folder)
            #expect(model.configuration == source.configuration && model.leftOut == ["multi_modal_projector"])
            #expect(try model.fingerprint() == source.fingerprint())
        }
    }

    /// The text of one that turns by three positions turns by one; in older files it has no section of its own.
    @Test(arguments: ["flat", "section", "mrope"]) func positionsOfImagesAreLeftOut(spelling: String) throws {
        let source = try GGUFTests.golden("qwen2")
        try withTemporaryFolder { folder in
            var part = try config("qwen2")
            part["model_type"] = "qwen2_vl_text"
            part["rope_theta"] = 1_000_000
            let type: JSONValue = spelling == "section" ? "default" : "mrope"
            part["rope_parameters"] = .null
            part["rope_scaling"] = ["type": type, "mrope_section": [1, 1, 2]]
            var all = part
            if spelling != "flat" { all = ["text_config": .object(part)] }
            all["model_type"] = "qwen2_vl"
            all["architectures"] = ["Qwen2VLForConditionalGeneration"]
            try write(source, to: folder, config: .object(all), others: ["visual.merger.bias"]) { $0 }
            let model = try ModelFiles.open(folder)
            #expect(model.configuration == source.configuration && model.leftOut == ["visual"])
            #expect(try model.fingerprint() == source.fingerprint())
        }
    }

    @Test(arguments: [("mllama", "mllama"), ("paligemma", "paligemma"), ("llava", "'gpt2'")])
    func othersAreRefusedByName(type: String, part: String) throws {
        let json: JSONValue = ["model_type": .string(type), "text_config": ["model_type": "gpt2"]]
        let error = #expect(throws: ModelError.self) {
            try ModelConfiguration(huggingFace: json, file: "m/config.json")
        }
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    /// Saved as LlamaModel, names have no prefix; where the head is not tied, it is missing.
    @Test func aModelWithoutAHeadClass() throws {
        for (name, opens) in [("llama-tied", true), ("qwen2", false)] {
            let source = try GGUFTests.golden(name)
            try withTemporaryFolder { folder in
                let bare = try config(name) { json in
                    json["architectures"] = [name == "qwen2" ? "Qwen2Model" : "LlamaModel"]
                }
                try write(source, to: folder, config: .object(bare)) {
                    $0.hasPrefix("lm_head") ? "head" : String($0.dropFirst("model.".count))
                }
                guard opens else {
                    let error = #expect(throws: ModelError.self) { try ModelFiles.open(folder) }
                    #expect(error?.message.contains("'lm_head.weight' is missing") == true)
                    return
                }
                #expect(try ModelFiles.open(folder).fingerprint() == source.fingerprint())
            }
        }
    }
}
