import Foundation
import Models
import TestSupport
import Testing
import Tokenizers

@Suite struct GGUFTests {
    static func open(_ builder: GGUFBuilder, in folder: String) throws -> ModelFiles {
        let path = folder + "/model.gguf"
        try Fixtures.write(builder.bytes, to: path)
        return try ModelFiles.open(path)
    }

    static func golden(_ name: String) throws -> ModelFiles {
        try ModelFiles.open("\(Fixtures.repository)/Tests/Fixtures/golden/\(name)")
    }

    static func values(_ model: ModelFiles, _ name: String) throws -> [Float] {
        var values = [Float](repeating: .nan, count: try model.shape(of: name).reduce(1, *))
        try values.withUnsafeMutableBufferPointer { try model.read(name, into: $0) }
        return values
    }

    /// Through the converter's permutation and names and back: the same model.
    @Test(arguments: ["llama-tied", "llama3-rope", "qwen2", "qwen3"]) func roundTrip(name: String) throws {
        let source = try Self.golden(name)
        try withTemporaryFolder { folder in
            let builder = try GGUFBuilder.converting(source)
            _ = try Self.open(builder, in: folder)
            // The folder with one GGUF opens as well as the file.
            let model = try ModelFiles.open(folder)
            #expect(model.configuration == source.configuration)
            #expect(Set(model.tensorNames) == Set(source.configuration.parameters.map(\.name)))
            for spec in source.configuration.parameters {
                #expect(try Self.values(model, spec.name) == Self.values(source, spec.name), "\(spec.name)")
            }
            #expect(model.storedType == "F32")
        }
    }

    /// The same of families whose files have more than llama's: norms with 1 added, fused matrices, factors as tensors,
    /// scales.
    @Test(arguments: [
        "llama-yarn", "granite", "smollm3", "olmo2", "phi3", "phi3-longrope", "gemma2", "gemma3", "qwen3-moe",
    ]) func roundTripOfFamilies(name: String) throws {
        let source = try Self.golden(name)
        try withTemporaryFolder { folder in
            let model = try Self.open(GGUFBuilder.converting(source), in: folder)
            #expect(model.configuration == source.configuration)
            for spec in source.configuration.parameters {
                let (got, want) = (try Self.values(model, spec.name), try Self.values(source, spec.name))
                let addsOne = source.configuration.schema.normOffset == 1 && spec.name.hasSuffix("norm.weight")
                #expect(
                    addsOne ? zip(got, want).allSatisfy { abs($0 - $1) < 2e-7 } : got == want, "\(spec.name)")
            }
        }
    }

    @Test func biasesOfAFusedMatrixAreRefused() throws {
        try withTemporaryFolder { folder in
            var builder = try GGUFBuilder.converting(Self.golden("phi3"))
            builder.tensors.append(
                ("blk.0.attn_qkv.bias", 0, [128], GGUFBuilder.bytes([Float](repeating: 0, count: 128))))
            let error = #expect(throws: ModelError.self) { try Self.open(builder, in: folder) }
            #expect(error?.message.contains("'blk.0.attn_qkv.bias' is not one of a phi3 model") == true)
        }
    }

    @Test func llamaBiasesArePermutedToo() throws {
        var configuration = try Self.golden("llama-tied").configuration
        configuration.attentionInputBias = true
        configuration.attentionOutputBias = true
        configuration.mlpBias = true
        try withTemporaryFolder { folder in
            var buffer: [Float] = []
            try ModelWriter.write(to: folder + "/hf", configuration: configuration, type: .f32) { spec in
                buffer = (0..<spec.count).map { Float($0) }
                return buffer.withUnsafeBufferPointer { $0 }
            }
            let source = try ModelFiles.open(folder + "/hf")
            try FileManager.default.createDirectory(atPath: folder + "/gguf", withIntermediateDirectories: true)
            let model = try Self.open(GGUFBuilder.converting(source), in: folder + "/gguf")
            #expect(model.configuration == configuration)
            for spec in configuration.parameters {
                #expect(try Self.values(model, spec.name) == Self.values(source, spec.name), "\(spec.name)")
            }
        }
    }

    @Test func llama3ScalingIsFoundInItsTensor() throws {
        let source = try Self.golden("llama3-rope")
        try withTemporaryFolder { folder in
            for (theta, dimension, factor, high, original) in [
                (500_000.0, 128, 8.0, 4.0, 8192), (500_000.0, 64, 32.0, 4.0, 8192), (10_000.0, 64, 4.0, 8.0, 2048),
            ] {
                var builder = try GGUFBuilder.converting(source)
                var configuration = source.configuration
                configuration.ropeTheta = theta
                configuration.headDimension = dimension
                configuration.headCount = 1
                configuration.keyValueHeadCount = 1
                let factors = GGUFBuilder.ropeFactors(
                    configuration, factor: factor, low: 1, high: high, original: Double(original))
                builder.tensors.removeAll { $0.name == "rope_freqs.weight" || $0.name.hasPrefix("blk") }
                builder.tensors.append(("rope_freqs.weight", 0, [factors.count], GGUFBuilder.bytes(factors)))
                for index in builder.metadata.indices {
                    switch builder.metadata[index].0 {
                    case "llama.rope.freq_base": builder.metadata[index].1 = .f32(Float(theta))
                    case "llama.attention.key_length": builder.metadata[index].1 = .u32(UInt32(dimension))
                    case "llama.attention.head_count", "llama.attention.head_count_kv":
                        builder.metadata[index].1 = .u32(1)
                    case "llama.block_count": builder.metadata[index].1 = .u32(1)
                    default: break
                    }
                }
                let width = dimension * 64
                for (name, dimensions) in [
                    ("attn_q", [64, dimension]), ("attn_k", [64, dimension]), ("attn_v", [64, dimension]),
                    ("attn_output", [dimension, 64]), ("ffn_gate", [64, 96]), ("ffn_up", [64, 96]),
                    ("ffn_down", [96, 64]), ("attn_norm", [64]), ("ffn_norm", [64]),
                ] {
                    let count = dimensions.reduce(1, *)
                    builder.tensors.append(
                        ("blk.0.\(name).weight", 0, dimensions, [UInt8](repeating: 0, count: count * 4)))
                    #expect(count <= max(width, 96 * 64))
                }
                let model = try Self.open(builder, in: folder)
                #expect(
                    model.configuration.ropeScaling
                        == .llama3(
                            factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: high,
                            originalMaxPositions: original))
            }
            // Factors that no llama3 scaling gives.
            var builder = try GGUFBuilder.converting(source)
            builder.tensors[builder.tensors.count - 1].bytes = GGUFBuilder.bytes([1, 5, 2, 7, 3, 1, 1, 8])
            let error = #expect(throws: ModelError.self) { try Self.open(builder, in: folder) }
            #expect(error?.message.contains("rope_freqs.weight") == true)
        }
    }

    @Test func everyTruncationIsRefused() throws {
        let builder = try GGUFBuilder.converting(Self.golden("llama-tied"))
        let bytes = builder.bytes
        let dataStart = bytes.count - builder.tensors.reduce(0) { $0 + ($1.bytes.count + 31) / 32 * 32 }
        try withTemporaryFolder { folder in
            let counts =
                Array(stride(from: 0, to: dataStart + 64, by: 3)) + stride(from: dataStart, to: bytes.count, by: 4093)
                + [bytes.count - 1]
            for count in counts {
                let path = folder + "/t.gguf"
                try Fixtures.write(Array(bytes[0..<count]), to: path)
                let error = #expect(throws: ModelError.self) { try ModelFiles.open(path) }
                #expect(error?.message.contains("t.gguf") == true)
            }
        }
    }

    @Test func noCorruptionCrashes() throws {
        var builder = try GGUFBuilder.converting(Self.golden("llama-tied"))
        builder.metadata.append(("tokenizer.ggml.model", .string("gpt2")))
        builder.metadata.append(("tokenizer.ggml.pre", .string("smollm")))
        builder.metadata.append(("tokenizer.ggml.tokens", .strings(["a", "b", "ab"])))
        builder.metadata.append(("tokenizer.ggml.token_type", .i32s([1, 1, 1])))
        builder.metadata.append(("tokenizer.ggml.merges", .strings(["a b"])))
        let bytes = builder.bytes
        let header = bytes.count - builder.tensors.reduce(0) { $0 + ($1.bytes.count + 31) / 32 * 32 }
        var generator = SystemRandomNumberGenerator()
        try withTemporaryFolder { folder in
            let path = folder + "/t.gguf"
            for _ in 0..<600 {
                var corrupt = bytes
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let position = Int.random(in: 0..<header, using: &generator)
                    corrupt[position] = [0, 1, 0x7F, 0x80, 0xFF, corrupt[position] ^ 4].randomElement(
                        using: &generator)!
                }
                try Fixtures.write(corrupt, to: path)
                // Refused in words, or a model whose tensors can all be read.
                do {
                    let model = try ModelFiles.open(path)
                    for name in model.tensorNames { _ = try Self.values(model, name) }
                    _ = try? model.loadTokenizer()
                } catch is ModelError {}
            }
        }
    }

    @Test func namesWhatIsWrong() throws {
        let good = try GGUFBuilder.converting(Self.golden("llama-tied"))
        try withTemporaryFolder { folder in
            func expect(_ part: String, _ change: (inout GGUFBuilder) -> Void) {
                var builder = good
                change(&builder)
                let error = #expect(throws: ModelError.self, "\(part)") { try Self.open(builder, in: folder) }
                #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
            }
            func set(_ builder: inout GGUFBuilder, _ key: String, _ value: GGUFBuilder.Value) {
                builder.metadata.removeAll { $0.0 == key }
                builder.metadata.append((key, value))
            }
            expect("version 1") { $0.version = 1 }
            expect("big-endian") { $0.version = UInt32(3).byteSwapped }
            expect("'falcon'") { set(&$0, "general.architecture", .string("falcon")) }
            expect("llama.block_count") { set(&$0, "llama.block_count", .string("3")) }
            expect("experts") { set(&$0, "llama.expert_count", .u32(8)) }
            expect("ntk") { set(&$0, "llama.rope.scaling.type", .string("ntk")) }
            expect("rope.scaling.factor") { set(&$0, "llama.rope.scaling.type", .string("yarn")) }
            expect("yarn_ext_factor") {
                set(&$0, "llama.rope.scaling.type", .string("yarn"))
                set(&$0, "llama.rope.scaling.yarn_ext_factor", .f32(0))
            }
            expect("sliding_window") { set(&$0, "llama.attention.sliding_window", .u32(16)) }
            expect("rotary") { set(&$0, "llama.rope.dimension_count", .u32(4)) }
            expect("num_key_value_heads") { set(&$0, "llama.attention.head_count_kv", .u32(4)) }
            expect("general.alignment") { set(&$0, "general.alignment", .u32(0)) }
            expect("unknown type 77") { $0.metadata.append(("x", .raw(type: 77, []))) }
            expect("more than the file can hold") {
                $0.metadata.append(("x", .raw(type: 9, GGUFBuilder.little(UInt32(4)) + GGUFBuilder.little(UInt64.max))))
            }
            expect("unknown type 9") {
                $0.metadata.append(("x", .raw(type: 9, GGUFBuilder.little(UInt32(9)) + GGUFBuilder.little(UInt64(1)))))
            }
            expect("UTF-8") {
                $0.metadata.append(("x", .raw(type: 8, GGUFBuilder.little(UInt64(1)) + [0xFF])))
            }
            expect("twice") { $0.metadata.append(("general.architecture", .string("llama"))) }
            expect("twice") { $0.tensors.append($0.tensors[0]) }
            expect("IQ2_XXS") { $0.tensors[3].type = 16 }
            expect("overlaps") { $0.offset = { $0 / 2 / 32 * 32 } }
            expect("not aligned") { $0.offset = { $0 + 1 } }
            expect("past the end") { $0.offset = { $0 + 1 << 30 } }
            expect("has a size of") { $0.offset = { $0 == 0 ? -32 : $0 } }
            expect("dimensions") { $0.tensors[1].dimensions = [] }
            // No values, and dimensions whose product would overflow where somebody multiplies them.
            expect("dimensions") { $0.tensors.append(("blk.9.attn_q.weight", 0, [0, 1 << 40, 1 << 40], [])) }
            expect("wrong for Q8_0") {
                $0.tensors[1].type = 8; $0.tensors[1].dimensions = [33]
            }
            expect("has shape") { $0.tensors[3].dimensions.reverse() }
            expect("model.norm.weight") { $0.tensors.removeAll { $0.name == "output_norm.weight" } }
            expect("'blk.0.ffn_gate_inp.weight'") { $0.tensors[1].name = "blk.0.ffn_gate_inp.weight" }
        }
    }
}
