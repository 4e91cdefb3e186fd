import Compute
import Models
import Rules
import Testing
import Transformers

/// What follows from the schema of a layer: the order of parameters, the places of a broadcast.
@Suite struct SchemaTests {
    /// A model that has every parameter there is.
    static let everything = ModelConfiguration(
        family: .llama, vocabularySize: 11, hiddenSize: 24, intermediateSize: 40, layerCount: 2, headCount: 4,
        keyValueHeadCount: 2, headDimension: 8, attentionInputBias: true, attentionOutputBias: true, mlpBias: true,
        qkNorm: true)

    @Test func orderAndShapesOfParameters() {
        let layer: [(String, [Int])] = [
            ("input_layernorm.weight", [24]), ("self_attn.q_proj.weight", [32, 24]),
            ("self_attn.k_proj.weight", [16, 24]), ("self_attn.v_proj.weight", [16, 24]),
            ("self_attn.q_proj.bias", [32]), ("self_attn.k_proj.bias", [16]), ("self_attn.v_proj.bias", [16]),
            ("self_attn.q_norm.weight", [8]), ("self_attn.k_norm.weight", [8]), ("self_attn.o_proj.weight", [24, 32]),
            ("self_attn.o_proj.bias", [24]), ("post_attention_layernorm.weight", [24]),
            ("mlp.gate_proj.weight", [40, 24]), ("mlp.up_proj.weight", [40, 24]), ("mlp.gate_proj.bias", [40]),
            ("mlp.up_proj.bias", [40]), ("mlp.down_proj.weight", [24, 40]), ("mlp.down_proj.bias", [24]),
        ]
        let layers = (0..<2).flatMap { index in layer.map { ("model.layers.\(index).\($0.0)", $0.1) } }
        let expected =
            [("model.embed_tokens.weight", [11, 24])] + layers
            + [("model.norm.weight", [24]), ("lm_head.weight", [11, 24])]
        let parameters = Self.everything.parameters
        #expect(parameters.map(\.name) == expected.map(\.0) && parameters.map(\.shape) == expected.map(\.1))
        var plain = Self.everything
        (plain.attentionInputBias, plain.attentionOutputBias, plain.mlpBias) = (false, false, false)
        (plain.qkNorm, plain.tiedEmbeddings) = (false, true)
        let kept = expected.filter { !$0.0.hasSuffix(".bias") && !$0.0.contains("_norm.") && $0.0 != "lm_head.weight" }
        #expect(plain.parameters.map(\.name) == kept.map(\.0))
    }

    /// Only what one product uses together is adjacent; all else begins on a boundary of 64 bytes.
    @Test func groupsOfParameters() {
        let following = Self.everything.parameters(layer: 0).filter(\.followsPrevious).map(\.name)
        #expect(
            following
                == [
                    "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.k_proj.bias",
                    "self_attn.v_proj.bias", "mlp.up_proj.weight", "mlp.up_proj.bias",
                ].map { "model.layers.0." + $0 })
    }

    @Test func everyAdapterTargetIsOneMatrixOfALayer() {
        let targets = Self.everything.parameters(layer: 0).compactMap(\.target)
        let fused: [AdapterShape.Target] = [.queryKeyValue, .gateUp]
        #expect(targets == AdapterShape.Target.allCases.filter { !fused.contains($0) })
        var phi3 = Self.everything
        phi3.family = .phi3
        #expect(phi3.parameters(layer: 0).compactMap(\.target) == [.queryKeyValue, .output, .gateUp, .down])
    }

    @Test(arguments: [ElementType.f32, .bf16]) func manifestCoversABroadcast(type: ElementType) {
        let layout = ParameterLayout(Self.everything, matrixType: type)
        Self.expectWhole(layout.manifest, head: 0)
        let buffer = ParameterBuffer(layout: layout)
        for (entry, parameter) in zip(layout.manifest.entries, Self.everything.parameters) {
            #expect(entry.name == parameter.name && entry.shape == parameter.shape)
            // The reader takes the same bytes for it.
            let tensor = buffer.tensor(entry.name)!
            #expect(tensor.bytes - UnsafeMutableRawPointer(mutating: buffer.bytes.baseAddress!) == entry.byteOffset)
            #expect(tensor.count * tensor.type.byteCount == entry.byteCount && tensor.type == entry.type)
            #expect(entry.type == (parameter.isMatrix ? type : .f32))
        }
    }

    @Test func manifestCoversASnapshotOfAdapters() throws {
        let shape = AdapterShape(rank: 3, alpha: 6, targets: [.query, .down])
        let layout = try AdapterLayout(Self.everything, shape)
        let snapshot = AdapterSnapshot(layout.places, baseFingerprint: 7)
        Self.expectWhole(snapshot.manifest, head: 64)
        #expect(snapshot.manifest.byteCount == snapshot.byteCount && snapshot.manifest.entries.count == 8)
        #expect(snapshot.manifest.entries[0].name == "model.layers.0.self_attn.q_proj.lora_A.weight")
        #expect(snapshot.manifest.entries[0].shape == [3, 24])
        let adapters = Adapters(layout: layout, seed: 1)
        var bytes = [UInt8](repeating: 0, count: snapshot.byteCount)
        bytes.withUnsafeMutableBytes { snapshot.write(adapters, into: $0) }
        for entry in snapshot.manifest.entries {
            let written = bytes.withUnsafeBytes { raw in
                (0..<entry.byteCount / 4).map {
                    raw.loadUnaligned(fromByteOffset: entry.byteOffset + 4 * $0, as: Float.self)
                }
            }
            let place = layout.parameters[entry.name]!
            #expect(written == Array(adapters.values.values(place)))
        }
    }

    /// Entries follow each other up to the next boundary of 64 bytes, from the head to the end.
    static func expectWhole(_ manifest: BroadcastLayout, head: Int) {
        var end = head
        for entry in manifest.entries {
            #expect(entry.byteOffset == end || entry.byteOffset == (end + 63) / 64 * 64)
            #expect(entry.byteCount == entry.shape.reduce(1, *) * entry.type.byteCount)
            end = entry.byteOffset + entry.byteCount
        }
        #expect(manifest.byteCount == (end + 63) / 64 * 64)
    }

    @Test func namesOfGGUFFiles() {
        let names = GGUFNames(Family.llama.schema)
        #expect(names.find("blk.12.attn_k.bias")?.name == "model.layers.12.self_attn.k_proj.bias")
        #expect(names.find("blk.0.ffn_norm.weight")?.name == "model.layers.0.post_attention_layernorm.weight")
        #expect(names.find("token_embd.weight")?.name == "model.embed_tokens.weight")
        for other in [
            "blk.01.attn_k.bias", "blk.-1.attn_k.bias", "blk.0.attn_norm.bias", "blk.0.attn_k", "attn_k.weight",
        ] {
            #expect(names.find(other) == nil, "\(other)")
        }
    }

    @Test func familiesAreListed() {
        let list = "llama, mistral, qwen2, qwen3, qwen3_moe, gemma2, gemma3_text, phi3, olmo2, granite, smollm3"
        #expect(Family.list.hasPrefix(list))
        #expect(
            Family.ggufList.hasPrefix("llama (with Mistral), qwen2, qwen3, qwen3moe, gemma2, gemma3, phi3, olmo2, "))
        #expect(Family.gguf("llama") == .llama && Family.gguf("mistral") == nil)
    }
}
