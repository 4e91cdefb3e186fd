import JSON

extension Family {
    /// Qwen 3 with experts: the layers of Qwen 3, of which all or some have a router and experts in place of one
    /// feed-forward network.
    ///
    /// Defaults are those of transformers' `Qwen3MoeConfig`.
    package static let qwen3MoE = Family(
        name: "qwen3_moe", title: "Qwen 3 MoE", architecture: "Qwen3MoeForCausalLM",
        defaults: Defaults(keyValueHeadCount: 4, maxPositions: 32768), schema: ModelSchema(layer: .preNormExperts),
        foreignKeys: rareKeys(without: "num_experts", "num_local_experts").merging(otherRouters) { $1 },
        gguf: GGUFForm(
            architecture: "qwen3moe", hasExperts: true,
            refusal: {
                !$0.attentionInputBias && $0.qkNorm ? nil : "biases or q/k norms that a qwen3moe model does not have"
            },
            readMetadata: { metadata, configuration in
                try metadata.refuseOtherRouters()
                let count = try metadata.int("qwen3moe.expert_count")
                let perToken = try metadata.int("qwen3moe.expert_used_count")
                for (key, value) in [("expert_count", count), ("expert_used_count", perToken)] where value <= 0 {
                    throw metadata.malformed("qwen3moe.\(key)", "positive")
                }
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
            // transformers 4 calls it num_experts, transformers 5 num_local_experts; absent ones would stand for 128.
            json["num_experts"] = .integer(configuration.size(.experts))
            json["num_local_experts"] = .integer(configuration.size(.experts))
            guard let experts = configuration.experts else { return }
            json["num_experts_per_tok"] = .integer(experts.perToken)
            json["moe_intermediate_size"] = .integer(experts.intermediateSize)
            json["norm_topk_prob"] = .bool(experts.normalizesChosen)
            json["decoder_sparse_step"] = 1
            json["mlp_only_layers"] = .array(
                (0..<configuration.layerCount).filter { !experts.layers.contains($0) }.map { .integer($0) })
        })

    /// Keys of mixtures whose routers do more than a softmax and its largest, or that have experts for every token, with
    /// the value that changes nothing.
    private static let otherRouters: [String: Double] = [
        "shared_expert_intermediate_size": 0, "n_shared_experts": 0, "num_shared_experts": 0, "n_group": 1,
        "topk_group": 1, "routed_scaling_factor": 1, "first_k_dense_replace": 0, "moe_layer_freq": 1,
        "use_expert_bias": 0, "router_jitter_noise": 0,
    ]
}

extension GGUFMetadata {
    /// Refuses what llama.cpp's keys of mixtures can ask for and the engine does not do.
    fileprivate func refuseOtherRouters() throws {
        let architecture = try string("general.architecture")
        for (name, neutral) in [
            ("expert_shared_count", 0), ("expert_shared_feed_forward_length", 0), ("expert_weights_scale", 1),
            ("leading_dense_block_count", 0), ("expert_group_count", 1), ("expert_group_used_count", 1),
            // 1 is the softmax, 0 the architecture's own.
            ("expert_gating_func", 1),
        ] {
            let key = "\(architecture).\(name)"
            guard let value = try optionalDouble(key), value != 0, value != Double(neutral) else { continue }
            throw ModelError(.unsupported, "\(file.path): \(key) \(value) is not supported for this architecture")
        }
        guard try optionalBool("\(architecture).expert_weights_norm") != false else {
            throw ModelError(
                .unsupported, "\(file.path): \(architecture).expert_weights_norm false is not supported")
        }
    }
}

extension ConfigReader {
    /// The experts of Qwen's families, of the layers that `decoder_sparse_step` and `mlp_only_layers` leave them.
    func readExperts(_ configuration: inout ModelConfiguration) throws {
        let named = try (optionalInt("num_experts"), optionalInt("num_local_experts"))
        if let one = named.0, let other = named.1, one != other {
            throw malformed("num_experts is \(one), num_local_experts \(other); they are two names of one number")
        }
        for key in ["scoring_func", "topk_method"] {
            guard let value = value(key), !value.isNull, value.string != "softmax", value.string != "greedy" else {
                continue
            }
            throw unsupported("\(key) '\(value.string ?? value.kindName)' is not supported; softmax and greedy are")
        }
        let count = named.0 ?? named.1 ?? 128
        let step = try optionalInt("decoder_sparse_step") ?? 1
        guard step > 0 else { throw malformed("decoder_sparse_step is \(step); it must be positive") }
        var plain: Set<Int> = []
        if let value = value("mlp_only_layers"), !value.isNull {
            guard let layers = value.array, layers.allSatisfy({ $0.int != nil }) else {
                throw malformed("mlp_only_layers is not a list of layers")
            }
            plain = Set(layers.compactMap(\.int))
        }
        guard count >= 0 else { throw malformed("num_experts is \(count); it must not be negative") }
        let layers = (0..<configuration.layerCount).filter { ($0 + 1) % step == 0 && !plain.contains($0) }
        guard count > 0, !layers.isEmpty else { return }
        configuration.experts = ExpertShape(
            count: count, perToken: try optionalInt("num_experts_per_tok") ?? 8,
            intermediateSize: try optionalInt("moe_intermediate_size") ?? 768,
            normalizesChosen: try bool("norm_topk_prob", default: false), layers: Set(layers))
    }
}
