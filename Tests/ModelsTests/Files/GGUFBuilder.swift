import Foundation
import Models
import Tokenizers

/// Writes small GGUF files for tests, well-formed or not.
struct GGUFBuilder {
    enum Value {
        case u32(UInt32)
        case f32(Float)
        case bool(Bool)
        case string(String)
        case strings([String])
        case i32s([Int32])
        case raw(type: UInt32, [UInt8])
    }

    var version: UInt32 = 3
    var alignment = 32
    var metadata: [(String, Value)] = []
    /// Dimensions fastest first, as in the file.
    var tensors: [(name: String, type: UInt32, dimensions: [Int], bytes: [UInt8])] = []
    /// Changes an offset that would be right.
    var offset: (Int) -> Int = { $0 }

    static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    static func text(_ value: String) -> [UInt8] { little(UInt64(value.utf8.count)) + Array(value.utf8) }

    var bytes: [UInt8] {
        var out = Array("GGUF".utf8) + Self.little(version) + Self.little(UInt64(tensors.count))
        out += Self.little(UInt64(metadata.count))
        for (key, value) in metadata {
            out += Self.text(key)
            switch value {
            case .u32(let number): out += Self.little(UInt32(4)) + Self.little(number)
            case .f32(let number): out += Self.little(UInt32(6)) + Self.little(number.bitPattern)
            case .bool(let flag): out += Self.little(UInt32(7)) + [flag ? 1 : 0]
            case .string(let text): out += Self.little(UInt32(8)) + Self.text(text)
            case .strings(let texts):
                out += Self.little(UInt32(9)) + Self.little(UInt32(8)) + Self.little(UInt64(texts.count))
                for text in texts { out += Self.text(text) }
            case .i32s(let numbers):
                out += Self.little(UInt32(9)) + Self.little(UInt32(5)) + Self.little(UInt64(numbers.count))
                for number in numbers { out += Self.little(number) }
            case .raw(let type, let bytes): out += Self.little(type) + bytes
            }
        }
        var data: [UInt8] = []
        for tensor in tensors {
            while data.count % alignment != 0 { data.append(0) }
            out += Self.text(tensor.name) + Self.little(UInt32(tensor.dimensions.count))
            for dimension in tensor.dimensions { out += Self.little(UInt64(dimension)) }
            out += Self.little(tensor.type) + Self.little(UInt64(bitPattern: Int64(offset(data.count))))
            data += tensor.bytes
        }
        while out.count % alignment != 0 { out.append(0) }
        return out + data
    }

    static func bytes(_ values: [Float]) -> [UInt8] { values.flatMap { little($0.bitPattern) } }

    /// The model of a Hugging Face folder as llama.cpp's converter would write it, in F32.
    static func converting(_ model: ModelFiles, pre: String? = nil) throws -> GGUFBuilder {
        let c = model.configuration
        let architecture = c.family.gguf.architecture
        var builder = GGUFBuilder()
        builder.metadata = [
            ("general.architecture", .string(architecture)),
            ("\(architecture).block_count", .u32(UInt32(c.layerCount))),
            ("\(architecture).context_length", .u32(UInt32(c.maxPositions))),
            ("\(architecture).embedding_length", .u32(UInt32(c.hiddenSize))),
            ("\(architecture).feed_forward_length", .u32(UInt32(c.intermediateSize))),
            ("\(architecture).attention.head_count", .u32(UInt32(c.headCount))),
            ("\(architecture).attention.head_count_kv", .u32(UInt32(c.keyValueHeadCount))),
            ("\(architecture).attention.key_length", .u32(UInt32(c.headDimension))),
            ("\(architecture).attention.layer_norm_rms_epsilon", .f32(c.rmsNormEpsilon)),
            ("\(architecture).rope.freq_base", .f32(Float(c.ropeTheta))),
            ("tokenizer.ggml.eos_token_id", .u32(UInt32(c.eosTokenIDs[0]))),
        ]
        if let id = c.bosTokenID { builder.metadata.append(("tokenizer.ggml.bos_token_id", .u32(UInt32(id)))) }
        if let id = c.padTokenID { builder.metadata.append(("tokenizer.ggml.padding_token_id", .u32(UInt32(id)))) }
        for spec in c.parameters where !spec.name.contains(".experts.") {
            var values = [Float](repeating: 0, count: spec.count)
            try values.withUnsafeMutableBufferPointer { try model.read(spec.name, into: $0) }
            if c.schema.normOffset != 0, spec.name.hasSuffix("norm.weight") { values = values.map { $0 + 1 } }
            if c.family.gguf.interleavesRotaryRows {
                if spec.name.contains("q_proj") {
                    values = interleaved(values, heads: c.headCount, dimension: c.headDimension)
                }
                if spec.name.contains("k_proj") {
                    values = interleaved(values, heads: c.keyValueHeadCount, dimension: c.headDimension)
                }
            }
            builder.tensors.append((ggufName(spec.name, c.family), 0, spec.shape.reversed(), bytes(values)))
        }
        try builder.addExperts(model)
        builder.addFamily(c, architecture)
        if case .llama3(let factor, let low, let high, let original) = c.ropeScaling {
            let factors = ropeFactors(c, factor: factor, low: low, high: high, original: Double(original))
            builder.tensors.append(("rope_freqs.weight", 0, [factors.count], bytes(factors)))
        }
        return builder
    }

    /// One tensor of all experts' gates, one of their ups, one of their downs in a layer; and how many there are.
    private mutating func addExperts(_ model: ModelFiles) throws {
        let c = model.configuration, architecture = c.family.gguf.architecture
        guard let experts = c.experts else { return }
        for (name, value) in [
            ("expert_count", experts.count), ("expert_used_count", experts.perToken),
            ("expert_feed_forward_length", experts.intermediateSize),
        ] { metadata.append(("\(architecture).\(name)", .u32(UInt32(value)))) }
        for layer in experts.layers.sorted() {
            for (name, other) in [("gate_proj", "gate"), ("up_proj", "up"), ("down_proj", "down")] {
                var all: [Float] = [], shape: [Int] = []
                for expert in 0..<experts.count {
                    let source = "model.layers.\(layer).mlp.experts.\(expert).\(name).weight"
                    shape = try model.shape(of: source)
                    var values = [Float](repeating: 0, count: shape.reduce(1, *))
                    try values.withUnsafeMutableBufferPointer { try model.read(source, into: $0) }
                    all += values
                }
                tensors.append(
                    ("blk.\(layer).ffn_\(other)_exps.weight", 0, [shape[1], shape[0], experts.count], Self.bytes(all)))
            }
        }
    }

    /// Metadata and tensors of some families alone.
    private mutating func addFamily(_ c: ModelConfiguration, _ architecture: String) {
        func add(_ name: String, _ value: Value) { metadata.append(("\(architecture).\(name)", value)) }
        switch c.ropeScaling {
        case .yarn(let yarn):
            add("rope.scaling.type", .string("yarn"))
            add("rope.scaling.factor", .f32(Float(yarn.factor)))
            add("rope.scaling.original_context_length", .u32(UInt32(yarn.originalMaxPositions)))
        case .longRope(let long):
            add("rope.scaling.original_context_length", .u32(UInt32(long.originalMaxPositions)))
            add("rope.scaling.attn_factor", .f32(Float(long.magnitude(maxPositions: c.maxPositions))))
            for (name, factors) in [("long", long.longFactors), ("short", long.shortFactors)] {
                let values = Self.bytes(factors.map { Float($0) })
                tensors.append(("rope_factors_\(name).weight", 0, [factors.count], values))
            }
        default: break
        }
        if let window = c.slidingWindow {
            add("attention.sliding_window", .u32(UInt32(window)))
            let first = c.layerKinds.firstIndex { !$0.isSliding } ?? 0
            if c.family == .gemma3 { add("attention.sliding_window_pattern", .u32(UInt32(first + 1))) }
        }
        if c.family == .phi3 { add("rope.dimension_count", .u32(UInt32(c.rotaryDimension))) }
        if let cap = c.attentionSoftCap { add("attn_logit_softcapping", .f32(cap)) }
        if let cap = c.logitSoftCap { add("final_logit_softcapping", .f32(cap)) }
        if c.family == .granite {
            add("embedding_scale", .f32(c.multipliers.embedding))
            add("residual_scale", .f32(c.multipliers.residual))
            add("attention.scale", .f32(c.multipliers.attention ?? 1))
            add("logit_scale", .f32(c.multipliers.logitDivisor))
        }
    }

    /// llama.cpp's converter: `reshape(heads, 2, D/2, width).swapaxes(1, 2)`.
    static func interleaved(_ values: [Float], heads: Int, dimension: Int) -> [Float] {
        let width = values.count / heads / dimension
        var out: [Float] = []
        for head in 0..<heads {
            for j in 0..<dimension / 2 {
                for p in 0..<2 {
                    let row = head * dimension + p * (dimension / 2) + j
                    out += values[row * width..<(row + 1) * width]
                }
            }
        }
        return out
    }

    static func ropeFactors(
        _ c: ModelConfiguration, factor: Double, low: Double, high: Double, original: Double
    ) -> [Float] {
        (0..<c.headDimension / 2).map { index in
            let frequency = 1 / pow(c.ropeTheta, Double(2 * index) / Double(c.headDimension))
            let wavelength = 2 * Double.pi / frequency
            if wavelength < original / high { return 1 }
            if wavelength > original / low { return Float(factor) }
            let smooth = (original / wavelength - low) / (high - low)
            return Float(1 / ((1 - smooth) / factor + smooth))
        }
    }

    static func ggufName(_ name: String, _ family: Family = .llama) -> String {
        let hasPostNorms = [.gemma2, .gemma3, .olmo2].contains(family)
        let modules = [
            ("pre_feedforward_layernorm", "ffn_norm"), ("post_feedforward_layernorm", "post_ffw_norm"),
            ("post_attention_layernorm", hasPostNorms ? "post_attention_norm" : "ffn_norm"),
            ("self_attn.qkv_proj", "attn_qkv"), ("mlp.gate_up_proj", "ffn_up"),
            ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
            ("model.layers", "blk"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"), ("post_attention_layernorm", "ffn_norm"),
            ("input_layernorm", "attn_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"), ("mlp.gate.", "ffn_gate_inp."),
        ]
        return modules.reduce(name) { $0.replacing($1.0, with: $1.1) }
    }
}
