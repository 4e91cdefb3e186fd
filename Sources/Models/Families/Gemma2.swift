import JSON

extension Family {
    /// Gemma 2: four norms a layer, whose weights are stored around 0, every other layer sliding, caps on scores and
    /// logits, a gate of GELU.
    ///
    /// Defaults are those of transformers' `Gemma2Config`.
    package static let gemma2 = Family(
        name: "gemma2", title: "Gemma 2", architecture: "Gemma2ForCausalLM",
        defaults: Defaults(
            sizes: Sizes(vocabulary: 256_000, hidden: 2304, intermediate: 9216, layers: 26, heads: 8),
            keyValueHeadCount: 4, headDimension: 256, maxPositions: 8192, tiedEmbeddings: true, bosTokenID: 2,
            eosTokenIDs: [1]),
        schema: ModelSchema(layer: .fourNorms, normOffset: 1),
        activationKey: "hidden_activation", activation: .geluTanh, roundsEmbeddingMultiplier: true,
        foreignKeys: rareKeys(without: "attn_logit_softcapping", "final_logit_softcapping"),
        gguf: GGUFForm(
            architecture: "gemma2",
            readMetadata: { metadata, configuration in
                // The largest model alone has another scale of scores.
                try metadata.readGemma(pattern: 2, divides: 46, &configuration)
                configuration.attentionSoftCap = try metadata.optionalFloat("attn_logit_softcapping") ?? 50
                configuration.logitSoftCap = try metadata.optionalFloat("final_logit_softcapping") ?? 30
            }),
        readKeys: { reader, configuration in
            try reader.readGemmaKeys(&configuration)
            configuration.attentionSoftCap = try reader.softCap("attn_logit_softcapping", absent: 50)
            configuration.logitSoftCap = try reader.softCap("final_logit_softcapping", absent: 30)
            try reader.readGemmaWindow(pattern: 2, &configuration)
        },
        writeKeys: { configuration, json in configuration.writeGemmaKeys(&json) })
}

extension ConfigReader {
    /// Keys that Gemma 2 and 3 have in common.
    func readGemmaKeys(_ configuration: inout ModelConfiguration) throws {
        let attentionBias = try bool("attention_bias", default: false)
        configuration.attentionInputBias = attentionBias
        configuration.attentionOutputBias = attentionBias
        let scalar = try optionalDouble("query_pre_attn_scalar") ?? 256
        guard scalar > 0 else { throw malformed("query_pre_attn_scalar is \(scalar); it must be positive") }
        configuration.multipliers.attention = Float(1 / scalar.squareRoot())
        configuration.multipliers.embedding = Float(Double(configuration.hiddenSize).squareRoot())
    }

    /// Layers that slide: those of `layer_types`, or all but every `pattern`th.
    func readGemmaWindow(pattern: Int, _ configuration: inout ModelConfiguration) throws {
        guard pattern > 0 else { throw malformed("sliding_window_pattern is \(pattern); it must be positive") }
        let types = try slidingLayers(count: configuration.layerCount)
        configuration.layerKinds =
            types.map { types in .init(count: types.count) { LayerKind(isSliding: types[$0]) } }
            ?? .init(count: configuration.layerCount, slidingPattern: pattern)
        configuration.slidingWindow = try int("sliding_window", absent: 4096)
    }

    /// A cap, or nil for null; an absent key stands for `fallback`.
    func softCap(_ key: String, absent fallback: Float?) throws -> Float? {
        value(key) == nil ? fallback : try optionalPositive(key)
    }
}

extension ModelConfiguration {
    /// Writes what Gemma 2 and 3 have in common.
    func writeGemmaKeys(_ json: inout JSONObject) {
        json["hidden_activation"] = .string(activation.transformersName)
        json["attention_bias"] = .bool(attentionInputBias)
        let scale = Double(multipliers.attention ?? 1)
        // Most are whole numbers, of which the multiplier is a rounded function.
        let scalar = 1 / (scale * scale), whole = scalar.rounded()
        let isWhole = whole < 1e9 && Float(1 / whole.squareRoot()) == multipliers.attention
        json["query_pre_attn_scalar"] = isWhole ? .integer(Int(whole)) : .number(scalar)
        json["sliding_window"] = slidingWindow.map { .integer($0) } ?? .null
        json["layer_types"] = layerTypes
        json["attn_logit_softcapping"] = attentionSoftCap.map { .shortest($0) } ?? .null
        json["final_logit_softcapping"] = logitSoftCap.map { .shortest($0) } ?? .null
        json["use_bidirectional_attention"] = false
    }
}

extension GGUFMetadata {
    /// What llama.cpp takes for granted of Gemma 2 and 3: the scale of embeddings; that of scores, from the head size or
    /// in the one model with `divides` layers from the width of the stream; and which layers slide, unless the file says.
    func readGemma(pattern: Int, divides: Int, _ configuration: inout ModelConfiguration) throws {
        let hidden = configuration.hiddenSize, heads = configuration.headCount
        guard hidden > 0, configuration.headDimension > 0 else { throw malformed("embedding_length", "positive") }
        let scalar = configuration.layerCount == divides ? hidden / heads : configuration.headDimension
        configuration.multipliers.attention = Float(1 / Double(scalar).squareRoot())
        configuration.multipliers.embedding = Float(Double(hidden).squareRoot())
        guard let window = try slidingWindow() else { return }
        configuration.slidingWindow = window
        let key = "\(try string("general.architecture")).attention.sliding_window_pattern"
        guard has(key) else {
            configuration.layerKinds = .init(count: configuration.layerCount, slidingPattern: pattern)
            return
        }
        if case .bools(let slide) = file.metadata[key], slide.count == configuration.layerCount {
            configuration.layerKinds = .init(count: slide.count) { LayerKind(isSliding: slide[$0]) }
            return
        }
        let count = try int(key)
        guard count > 0 else { throw malformed(key, "positive") }
        configuration.layerKinds = .init(count: configuration.layerCount, slidingPattern: count)
    }
}
