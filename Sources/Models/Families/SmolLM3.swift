extension Family {
    /// SmolLM3: Llama with some layers whose queries and keys are not rotated.
    ///
    /// Defaults are those of transformers' `SmolLM3Config`.
    package static let smolLM3 = Family(
        name: "smollm3", title: "SmolLM3", architecture: "SmolLM3ForCausalLM",
        defaults: Defaults(
            keyValueHeadCount: 4, maxPositions: 32768, tiedEmbeddings: true, bosTokenID: 128_000,
            eosTokenIDs: [128_001]),
        schema: ModelSchema(layer: .preNorm), rope: RopeForm(theta: 2_000_000),
        gguf: GGUFForm(
            architecture: "smollm3", interleavesRotaryRows: true,
            // llama.cpp knows no other pattern.
            readMetadata: { _, configuration in
                configuration.layerKinds = .init(count: configuration.layerCount) {
                    LayerKind(hasRope: ($0 + 1) % 4 != 0)
                }
            }),
        readKeys: { reader, configuration in
            let attentionBias = try reader.bool("attention_bias", default: false)
            configuration.attentionInputBias = attentionBias
            configuration.attentionOutputBias = attentionBias
            configuration.mlpBias = try reader.bool("mlp_bias", default: false)
            let rotated = try reader.rotatedLayers(count: configuration.layerCount)
            let slides = try reader.bool("use_sliding_window", default: false)
            let window = try reader.optionalInt("sliding_window")
            let types = try reader.slidingLayers(count: configuration.layerCount)
            guard slides || types?.contains(true) != true else {
                throw reader.malformed("layer_types has sliding_attention, but use_sliding_window is off")
            }
            configuration.layerKinds = .init(count: configuration.layerCount) { layer in
                LayerKind(
                    isSliding: types?[layer] ?? (slides && window != nil && !rotated[layer]), hasRope: rotated[layer])
            }
            if configuration.layerKinds.contains(where: \.isSliding) { configuration.slidingWindow = window }
        },
        writeKeys: { configuration, json in
            json["attention_bias"] = .bool(configuration.attentionInputBias)
            json["mlp_bias"] = .bool(configuration.mlpBias)
            json["no_rope_layers"] = .array(
                (0..<configuration.layerCount).map { configuration.kind(ofLayer: $0).hasRope ? 1 : 0 })
            json["layer_types"] = configuration.layerTypes
            json["use_sliding_window"] = .bool(configuration.slidingWindow != nil)
            json["sliding_window"] = configuration.slidingWindow.map { .integer($0) } ?? .null
        })
}

extension ConfigReader {
    /// Which layers rotate, from `no_rope_layers` (1 where a layer does) or every layer but each
    /// `no_rope_layer_interval`th.
    fileprivate func rotatedLayers(count: Int) throws -> [Bool] {
        if let value = value("no_rope_layers"), !value.isNull {
            guard let list = value.array, list.count >= count else {
                throw malformed("no_rope_layers is no list of \(count) numbers, one for each layer")
            }
            return try list.prefix(count).map {
                guard let number = $0.int ?? ($0.bool.map { $0 ? 1 : 0 }) else {
                    throw malformed("no_rope_layers has \($0.kindName); it must have 0 and 1")
                }
                return number != 0
            }
        }
        let interval = try optionalInt("no_rope_layer_interval") ?? 4
        guard interval > 0 else { throw malformed("no_rope_layer_interval is \(interval); it must be positive") }
        return (0..<count).map { ($0 + 1) % interval != 0 }
    }
}
