import Foundation
import JSON
import Models
import Templates
import TestSupport
import Testing
import Tokenizers

@Suite struct ModelWriterTests {
    @Test(arguments: Fixtures.cases) func f32RoundTrip(name: String) throws {
        let source = try ModelFiles.open("\(Fixtures.golden)/\(name)")
        try withTemporaryFolder { folder in
            try ModelWriter.convert(from: source, to: folder)
            let copy = try ModelFiles.open(folder)
            #expect(copy.configuration == source.configuration)
            #expect(copy.tensorNames.count == source.configuration.parameters.count)
            for spec in source.configuration.parameters {
                #expect(try GGUFTests.values(copy, spec.name) == GGUFTests.values(source, spec.name))
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(left == ["config.json", "generation_config.json", "model.safetensors"])
        }
    }

    @Test func bf16AndShards() throws {
        let source = try GGUFTests.golden("qwen2")
        try withTemporaryFolder { folder in
            var values: [Float] = []
            func write(shard: Int) throws {
                try ModelWriter.write(
                    to: folder, configuration: source.configuration, type: .bf16, maximumShardByteCount: shard
                ) { spec in
                    values = try GGUFTests.values(source, spec.name)
                    return values.withUnsafeBufferPointer { $0 }
                }
            }
            try write(shard: 40_000)
            #expect(Fixtures.exists(folder + "/model.safetensors.index.json"))
            #expect(!Fixtures.exists(folder + "/model.safetensors"))
            for _ in 0..<2 {
                let copy = try ModelFiles.open(folder)
                #expect(copy.storedType == "BF16" && copy.naturalWeightType == .bf16)
                for spec in source.configuration.parameters {
                    let (a, b) = (try GGUFTests.values(copy, spec.name), try GGUFTests.values(source, spec.name))
                    #expect(zip(a, b).allSatisfy { abs($0 - $1) <= abs($1) / 256 })
                    #expect(a.allSatisfy { $0.bitPattern & 0xFFFF == 0 })
                }
                // Over the sharded model: one file, and nothing left of the shards' index.
                try write(shard: 1 << 30)
                #expect(!Fixtures.exists(folder + "/model.safetensors.index.json"))
            }
        }
    }

    @Test func missingAndMisplacedShards() throws {
        let source = try GGUFTests.golden("qwen2")
        try withTemporaryFolder { folder in
            var values: [Float] = []
            try ModelWriter.write(
                to: folder, configuration: source.configuration, type: .f32, maximumShardByteCount: 60_000
            ) { spec in
                values = [Float](repeating: 1, count: spec.count)
                return values.withUnsafeBufferPointer { $0 }
            }
            let index = folder + "/model.safetensors.index.json"
            let text = String(decoding: try Fixtures.read(index), as: UTF8.self)
            let first = try #require(
                try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("model-0") }.min())
            try Fixtures.write(Array(text.replacing(first, with: "../x").utf8), to: index)
            let outside = #expect(throws: ModelError.self) { try ModelFiles.open(folder) }
            #expect(outside?.message.contains("outside the folder") == true)
            try Fixtures.write(Array(text.utf8), to: index)
            try FileManager.default.removeItem(atPath: folder + "/" + first)
            let missing = #expect(throws: ModelError.self) { try ModelFiles.open(folder) }
            #expect(missing?.message.contains(first) == true)
        }
    }

    @Test func pruningRenumbersLayers() throws {
        let source = try GGUFTests.golden("qwen3")
        try withTemporaryFolder { folder in
            try ModelPruning.prune(from: source, to: folder, dropping: [1])
            let copy = try ModelFiles.open(folder)
            #expect(copy.configuration.layerCount == 2)
            for spec in copy.configuration.parameters {
                let origin = spec.name.replacing("layers.1.", with: "layers.2.")
                #expect(try GGUFTests.values(copy, spec.name) == GGUFTests.values(source, origin))
            }
            for (layers, part) in [
                ([3], "layer 3"), ([-1], "layer -1"), ([0, 0], "twice"), ([0, 1, 2], "all"), ([], "no layer"),
            ] {
                let error = #expect(throws: ModelError.self) {
                    try ModelPruning.prune(from: source, to: folder + "/x", dropping: layers)
                }
                #expect(error?.message.contains(part) == true)
            }
            #expect(!Fixtures.exists(folder + "/x"))
            #expect(throws: ModelError.self) { try ModelPruning.prune(from: copy, to: folder, dropping: [0]) }
        }
    }

    @Test func tokenizerFilesAreCopied() throws {
        try withTemporaryFolder { folder in
            let model = try GGUFTests.open(GGUFTokenizerTests.builder("bpe-qwen", pre: "qwen2"), in: folder)
            try ModelWriter.convert(from: model, to: folder + "/a")
            try Fixtures.write(
                Array(#"{"eos_token_id":5,"temperature":0.6}"#.utf8), to: folder + "/a/generation_config.json")
            try ModelPruning.prune(from: ModelFiles.open(folder + "/a"), to: folder + "/b", dropping: [0], type: .bf16)
            for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
                #expect(try Fixtures.read("\(folder)/a/\(name)") == Fixtures.read("\(folder)/b/\(name)"))
            }
            let generation = try JSONValue.parse(try Fixtures.read(folder + "/b/generation_config.json"))
            #expect(generation["temperature"]?.double == 0.6)
            #expect(try ModelFiles.open(folder + "/b").configuration.eosTokenIDs == [2, 5])
            let summary = ModelSummary(try ModelFiles.open(folder + "/b"))
            #expect(summary.template?.endOfAnswer == "<|im_end|>\n" && summary.parameterCount > 0)
            #expect(summary.storedTypes.map(\.type) == ["BF16"])
            #expect(summary.lines.contains { $0.label == "stop tokens" && $0.text.contains("<|im_end|>") })
        }
    }

    @Test func missingModels() throws {
        try withTemporaryFolder { folder in
            #expect(throws: ModelError.self) { try ModelFiles.open(folder + "/none") }
            let empty = #expect(throws: ModelError.self) { try ModelFiles.open(folder) }
            #expect(empty?.message.contains("config.json") == true)
            try ModelWriter.convert(from: GGUFTests.golden("llama-tied"), to: folder + "/a")
            let untokenized = #expect(throws: (any Error).self) { try ModelFiles.open(folder + "/a").loadTokenizer() }
            #expect(untokenized.map { "\($0)".contains("tokenizer.json") } == true)
            #expect(throws: (any Error).self) {
                try ModelWriter.convert(from: GGUFTests.golden("llama-tied"), to: "/proc/opd-test")
            }
            try FileManager.default.removeItem(atPath: folder + "/a/model.safetensors")
            let weightless = #expect(throws: ModelError.self) { try ModelFiles.open(folder + "/a") }
            #expect(weightless?.message.contains("model.safetensors") == true)
        }
    }
}
