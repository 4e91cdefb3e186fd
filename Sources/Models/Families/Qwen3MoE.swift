import JSON

extension Family {
    /// Qwen 3 with experts: the layers of Qwen 3, of which all or some have a router and experts in place of one
    /// feed-forward network.
    ///
    /// Defaults are those of transformers' `Qwen3MoeConfig`.
    package static let qwen3MoE = Family(
        name: "qwen3_moe", title: "Qwen 3 MoE", architecture: "Qwen3MoeForCausalLM",
        defaults: Defaults(keyValueHeadCount: 4, maxPositions: 32768), schema: ModelSchema(layer: .preNormExperts),
        foreignKeys: rareKeys(without: "num_experts", "num_local_experts"),
        gguf: GGUFForm(
            architecture: "qwen3moe", hasExperts: true,
            refusal: {
                !$0.attentionInputBias && $0.qkNorm ? nil : "biases or q/k norms that a qwen3moe model does not have"
            },
            readMetadata: { metadata, configuration in
                let count = try metadata.int("qwen3moe.expert_count")
                let perToken = try metadata.int("qwen3moe.expert_used_count")
                guard count > 0, perToken > 0 else { throw metadata.malformed("qwen3moe.expert_count", "positive") }
                configuration.experts = ExpertShape(
                    count: count, perToken: perToken,
                    intermediateSize: try metadata.optionalInt("qwen3moe.expert_feed_forward_length")
                        ?? configuration.intermediateSize / perToken,
                    // llama.cpp takes both for granted.
                    normalizesChosen: true, layers: Set(0..<configuration.layerCount))
            }),
        readKeys: { reader, configuration in
            configuration.qkNorm = true
            let attentionBias = try reader.bool("attention_bias", default: false)
            configuration.attentionInputBias = attentionBias
            configuration.attentionOutputBias = attentionBias
            try reader.readExperts(&configuration)
            // Here the window, where it is turned on, is that of every layer.
            if try reader.bool("use_sliding_window", default: false),
                let window = try reader.int("sliding_window", absent: 4096)
            {
                configuration.slidingWindow = window
                configuration.layerKinds = .init(count: configuration.layerCount) { _ in LayerKind(isSliding: true) }
            }
        },
        writeKeys: { configuration, json in
            json["attention_bias"] = .bool(configuration.attentionInputBias)
            json["use_sliding_window"] = .bool(configuration.slidingWindow != nil)
            json["sliding_window"] = configuration.slidingWindow.map { .integer($0) } ?? .null
            guard let experts = configuration.experts else { return }
            // transformers 4 calls it num_experts, transformers 5 num_local_experts.
            json["num_experts"] = .integer(experts.count)
            json["num_local_experts"] = .integer(experts.count)
            json["num_experts_per_tok"] = .integer(experts.perToken)
            json["moe_intermediate_size"] = .integer(experts.intermediateSize)
            json["norm_topk_prob"] = .bool(experts.normalizesChosen)
            json["decoder_sparse_step"] = 1
            json["mlp_only_layers"] = .array(
                (0..<configuration.layerCount).filter { !experts.layers.contains($0) }.map { .integer($0) })
        })
}

extension ConfigReader {
    /// The experts of Qwen's families, of the layers that `decoder_sparse_step` and `mlp_only_layers` leave them.
    func readExperts(_ configuration: inout ModelConfiguration) throws {
        let count = try optionalInt("num_experts") ?? optionalInt("num_local_experts") ?? 128
        let step = try optionalInt("decoder_sparse_step") ?? 1
        guard step > 0 else { throw malformed("decoder_sparse_step is \(step); it must be positive") }
        var plain: Set<Int> = []
        if let value = value("mlp_only_layers"), !value.isNull {
            guard let layers = value.array, layers.allSatisfy({ $0.int != nil }) else {
                throw malformed("mlp_only_layers is not a list of layers")
            }
            plain = Set(layers.compactMap(\.int))
        }
        let layers = (0..<configuration.layerCount).filter { ($0 + 1) % step == 0 && !plain.contains($0) }
        guard count > 0, !layers.isEmpty else { return }
        configuration.experts = ExpertShape(
            count: count, perToken: try optionalInt("num_experts_per_tok") ?? 8,
            intermediateSize: try optionalInt("moe_intermediate_size") ?? 768,
            normalizesChosen: try bool("norm_topk_prob", default: false), layers: Set(layers))
    }
}
