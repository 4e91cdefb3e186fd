import Foundation
import JSON
import Models
import TestSupport
import Testing

/// Folders of families that other engines compute.
@Suite struct OtherFamilyTests {
    private static let config = """
        {"model_type": "gpt_neox", "vocab_size": 704, "max_position_embeddings": 64, "eos_token_id": [2],
        "bos_token_id": 1}
        """
    private static let tensors: [SafetensorsWriter.Entry] = [
        .init("gpt_neox.embed_in.weight", .f32, [704, 4]),
        .init("gpt_neox.layers.0.attention.bias", .u8, [1, 1, 8, 8]),
        .init("gpt_neox.layers.0.attention.rotary_emb.inv_freq", .f32, [2]),
        .init("gpt_neox.layers.0.attention.dense.bias", .bf16, [4]), .init("gpt_neox.mix", .f32, [6, 1, 3]),
        .init("embed_out.weight", .f16, [704, 4]),
    ]

    private static func write(
        _ config: String, _ tensors: [SafetensorsWriter.Entry] = tensors, to folder: String
    ) throws {
        try writeText(config, to: "\(folder)/config.json")
        try writeText(#"{"eos_token_id": [2, 3]}"#, to: "\(folder)/generation_config.json")
        let golden = "\(Fixtures.repository)/Tests/Fixtures/golden/bpe-qwen.tokenizer.json"
        try Fixtures.write(try Fixtures.read(golden), to: "\(folder)/tokenizer.json")
        var writer = try SafetensorsWriter("\(folder)/model.safetensors", entries: tensors)
        for tensor in tensors {
            try [UInt8](repeating: 0, count: tensor.byteCount).withUnsafeBytes { try writer.append($0) }
        }
        try writer.finish()
    }

    @Test func whatARunMustKnowIsRead() throws {
        try withTemporaryFolder { folder in
            try Self.write(Self.config, to: folder)
            #expect(throws: ModelError.self) { try ModelFiles.open(folder) }
            let model = try OtherFamilyFolder(folder)
            #expect(model.contextLength == 64 && model.vocabularySize == 704)
            let tokenizer = try model.loadTokenizer()
            #expect(tokenizer.endOfSequenceIDs == [2, 3] && tokenizer.beginOfSequenceID == 1)
            let manifest = model.manifest(matrixType: .bf16)
            #expect(
                manifest.entries.map(\.name) == [
                    "gpt_neox.embed_in.weight", "gpt_neox.layers.0.attention.dense.bias", "gpt_neox.mix",
                    "embed_out.weight",
                ])
            #expect(manifest.entries.map(\.type) == [.bf16, .f32, .bf16, .bf16])
            #expect(manifest.entries.map(\.byteCount) == [5632, 16, 36, 5632])
            #expect(manifest.entries.map(\.byteOffset) == [0, 5632, 5696, 5760] && manifest.byteCount == 11392)
        }
    }

    /// Where a server computes the model, its weights may be of any kind, and elsewhere.
    @Test func howItReadsTextIsReadAlone() throws {
        try withTemporaryFolder { folder in
            try Self.write(Self.config, to: folder)
            try FileManager.default.removeItem(atPath: "\(folder)/model.safetensors")
            #expect(throws: ModelError.self) { try OtherFamilyFolder(folder) }
            for config in [
                Self.config, Self.config.replacing("\"vocab", with: "\"quantization_config\": {}, \"vocab"),
                #"{"model_type": "y", "text_config": {"vocab_size": 704, "n_positions": 64, "eos_token_id": 2}}"#,
            ] {
                try writeText(config, to: "\(folder)/config.json")
                let text = try TextFiles.open(folder)
                #expect(text.vocabularySize == 704 && text.tokenizer.endOfSequenceIDs == [2, 3])
            }
        }
    }

    @Test(arguments: [
        (#"{"vocab_size": 704, "max_position_embeddings": 64}"#, "model_type is missing"),
        (#"{"model_type": "x", "max_position_embeddings": 64}"#, "vocab_size is missing"),
        (#"{"model_type": "x", "vocab_size": 704}"#, "names no context"),
        (#"{"model_type": "x", "vocab_size": 704, "n_positions": 0}"#, "the context is 0"),
        (#"{"model_type": "x", "vocab_size": 2, "n_positions": 4, "eos_token_id": 2}"#, "eos_token_id 2 is outside"),
        (#"{"model_type": "x", "text_config": {}}"#, "several parts"),
        (#"{"model_type": "x", "quantization_config": {"quant_method": "fp8"}}"#, "quantization_config (fp8)"),
    ]) func whatIsMissingIsNamed(config: String, words: String) throws {
        try withTemporaryFolder { folder in
            try Self.write(config, to: folder)
            let error = #expect(throws: ModelError.self) { try OtherFamilyFolder(folder) }
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
            #expect(error?.message.hasPrefix(folder) == true)
        }
    }

    /// Names and shapes are those of the files: another program knows these models by them.
    @Test func arraysOfExpertsStayAsTheyAre() throws {
        try withTemporaryFolder { folder in
            let tensors: [SafetensorsWriter.Entry] = [
                .init("embed_tokens.weight", .f32, [704, 4]), .init("layers.0.mlp.experts.down_proj", .f32, [2, 3, 4]),
            ]
            try Self.write(Self.config, tensors, to: folder)
            let model = try OtherFamilyFolder(folder), manifest = model.manifest(matrixType: .f32)
            #expect(manifest.entries.map(\.name) == ["embed_tokens.weight", "layers.0.mlp.experts.down_proj"])
            #expect(manifest.entries.map(\.shape) == [[704, 4], [2, 3, 4]])
            #expect(manifest.entries.map(\.byteCount) == [11264, 96])
            let fingerprint = try model.fingerprint()
            try Self.write(Self.config, [tensors[1], tensors[0]], to: folder)
            #expect(try OtherFamilyFolder(folder).fingerprint() == fingerprint, "in whatever order")
            try Self.write(
                Self.config, [tensors[0], .init("layers.1.mlp.experts.down_proj", .f32, [2, 3, 4])], to: folder)
            #expect(try OtherFamilyFolder(folder).fingerprint() != fingerprint)
        }
    }

    /// Adapters of matrices that no family here has, as an engine names them.
    @Test func adaptersOfOtherFamiliesAreLaidOutAsOurs() throws {
        let places = AdapterPlaces(
            [.init(stem: "h.0.c_attn", outputs: 12, inputs: 4), .init(stem: "h.1.c_attn", outputs: 12, inputs: 4)],
            rank: 2, alpha: 8)
        #expect(places.targets == ["c_attn"] && places.scale == 4)
        let snapshot = AdapterSnapshot(places, baseFingerprint: 7)
        #expect(
            snapshot.manifest.entries.map(\.name) == [
                "h.0.c_attn.lora_A.weight", "h.0.c_attn.lora_B.weight", "h.1.c_attn.lora_A.weight",
                "h.1.c_attn.lora_B.weight",
            ])
        #expect(snapshot.manifest.entries.map(\.shape) == [[2, 4], [12, 2], [2, 4], [12, 2]])
        #expect(snapshot.manifest.entries.map(\.byteOffset) == [64, 128, 256, 320] && snapshot.byteCount == 448)
        var bytes = [UInt8](repeating: 1, count: snapshot.byteCount)
        bytes.withUnsafeMutableBytes { snapshot.writeInitial(seed: 1, into: $0) }
        #expect(bytes[16..<24].allSatisfy { $0 == 0 }, "no targets that have bits")
        try bytes.withUnsafeBytes { raw in
            let values = try snapshot.values(in: raw)
            #expect(values.count == 384 && values[64..<160].allSatisfy { $0 == 0 })
            #expect(values.loadUnaligned(as: Float.self) != 0)
        }
    }

    @Test(arguments: [
        (SafetensorsWriter.Entry("empty", .f32, [2, 0]), "'empty' of shape [2, 0]"),
        (.init("scale", .f32, []), "'scale' of shape []"),
    ]) func whatNoSnapshotHoldsIsNamed(tensor: SafetensorsWriter.Entry, words: String) throws {
        try withTemporaryFolder { folder in
            try Self.write(Self.config, [tensor], to: folder)
            let error = #expect(throws: ModelError.self) { try OtherFamilyFolder(folder) }
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        }
        try withTemporaryFolder { folder in
            try Self.write(Self.config.replacing("704", with: "12"), to: folder)
            let error = #expect(throws: ModelError.self) { try OtherFamilyFolder(folder).loadTokenizer() }
            #expect(error?.message.contains("the model 12") == true, "\(error?.message ?? "")")
        }
    }
}
