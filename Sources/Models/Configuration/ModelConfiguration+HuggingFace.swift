import Files
import JSON

// config.json as transformers 4 and 5 write it, with the defaults that transformers applies to absent keys.

extension ModelConfiguration {
    /// Reads a config.json (and generation_config.json when given). `file` is named in errors.
    package init(huggingFace config: JSONValue, generation: JSONValue? = nil, file: String) throws {
        let reader = try ConfigReader(json: config, file: file).textPart()
        let family = try reader.family(), defaults = family.defaults
        func size(_ key: String, _ fallback: Int?) throws -> Int {
            if let value = try reader.optionalInt(key) ?? fallback { return value }
            throw reader.malformed("\(key) is missing")
        }
        let heads = try size("num_attention_heads", defaults.sizes?.heads)
        let hidden = try size("hidden_size", defaults.sizes?.hidden)
        try reader.refuseUnsupported()
        try reader.refuseForeign(family.foreignKeys)

        // null means "as many as heads"; an absent key means the class's own default, which differs by family.
        let keyValueHeads = try reader.int("num_key_value_heads", absent: defaults.keyValueHeadCount) ?? heads
        var headDimension = try reader.int("head_dim", absent: defaults.headDimension)
        if headDimension == nil {
            guard heads > 0, hidden % heads == 0 else {
                throw reader.malformed("hidden_size \(hidden) is not a multiple of num_attention_heads \(heads)")
            }
            headDimension = hidden / heads
        }
        let maxPositions = try reader.optionalInt("max_position_embeddings") ?? defaults.maxPositions
        let vocabulary = try size("vocab_size", defaults.sizes?.vocabulary)
        // A family's own token ids may lie outside of a small vocabulary, in files that name none.
        func fits(_ id: Int) -> Bool { id < vocabulary }

        self.init(
            family: family, vocabularySize: vocabulary, hiddenSize: hidden,
            intermediateSize: try size("intermediate_size", defaults.sizes?.intermediate),
            layerCount: try size("num_hidden_layers", defaults.sizes?.layers),
            headCount: heads, keyValueHeadCount: keyValueHeads, headDimension: headDimension ?? 0,
            rmsNormEpsilon: Float(try reader.optionalDouble("rms_norm_eps") ?? defaults.rmsNormEpsilon),
            maxPositions: maxPositions,
            tiedEmbeddings: try reader.bool("tie_word_embeddings", default: defaults.tiedEmbeddings),
            bosTokenID: reader.value("bos_token_id") == nil
                ? defaults.bosTokenID : try reader.tokenIDs("bos_token_id").first,
            padTokenID: try reader.tokenIDs("pad_token_id").first,
            eosTokenIDs: reader.value("eos_token_id") == nil
                ? defaults.eosTokenIDs.filter(fits) : try reader.tokenIDs("eos_token_id"))
        // What readers of keys go through layers with.
        guard (1...1 << 12).contains(layerCount) else {
            throw reader.malformed("num_hidden_layers is \(layerCount); it must be between 1 and \(1 << 12)")
        }
        activation = try reader.activation(family.activationKey, default: family.activation)
        if let form = family.rope {
            let (rope, partialFactor) = try reader.rope(form, maxPositions: maxPositions)
            (ropeTheta, ropeScaling, partialRotaryFactor) = (rope.theta, rope.scaling, partialFactor)
        }
        try family.readKeys(reader, &self)
        if let generation {
            let generationReader = ConfigReader(json: generation, file: file.parentPath + "/generation_config.json")
            for id in try generationReader.tokenIDs("eos_token_id") where !eosTokenIDs.contains(id) {
                eosTokenIDs.append(id)
            }
            if bosTokenID == nil { bosTokenID = try generationReader.tokenIDs("bos_token_id").first }
            if padTokenID == nil { padTokenID = try generationReader.tokenIDs("pad_token_id").first }
        }
        // Files name start and padding tokens that no embedding has, and nothing ever reads them.
        if let id = bosTokenID, id >= vocabularySize { bosTokenID = nil }
        if let id = padTokenID, id >= vocabularySize { padTokenID = nil }
        try validate(in: file)
    }

    /// The config.json of this model for transformers 4 and 5. `type` is the weights' type, "float32" or "bfloat16".
    package func huggingFaceJSON(type: String) -> JSONValue {
        var json: JSONObject = [
            "architectures": [.string(family.architecture)],
            "model_type": .string(family.name),
            "vocab_size": .integer(vocabularySize),
            "hidden_size": .integer(hiddenSize),
            "intermediate_size": .integer(intermediateSize),
            "num_hidden_layers": .integer(layerCount),
            "num_attention_heads": .integer(headCount),
            "num_key_value_heads": .integer(keyValueHeadCount),
            "head_dim": .integer(headDimension),
            "hidden_act": .string(activation.transformersName),
            "max_position_embeddings": .integer(maxPositions),
            "rms_norm_eps": .shortest(rmsNormEpsilon),
            "initializer_range": 0.02,
            "attention_dropout": 0.0,
            "use_cache": true,
            "tie_word_embeddings": .bool(tiedEmbeddings),
        ]
        if let form = family.rope { writeRope(form, &json) }
        family.writeKeys(self, &json)
        json["bos_token_id"] = bosTokenID.map(JSONValue.integer) ?? .null
        json["eos_token_id"] = Self.tokenIDs(eosTokenIDs)
        json["pad_token_id"] = padTokenID.map(JSONValue.integer) ?? .null
        json["torch_dtype"] = .string(type)
        json["dtype"] = .string(type)
        return .object(json)
    }

    /// generation_config.json: which tokens start, end and pad.
    package var generationJSON: JSONValue {
        var json: JSONObject = ["_from_model_config": true]
        if let bosTokenID { json["bos_token_id"] = .integer(bosTokenID) }
        if !eosTokenIDs.isEmpty { json["eos_token_id"] = Self.tokenIDs(eosTokenIDs) }
        if let padTokenID { json["pad_token_id"] = .integer(padTokenID) }
        return .object(json)
    }

    private static func tokenIDs(_ ids: [Int]) -> JSONValue {
        ids.isEmpty ? .null : ids.count == 1 ? .integer(ids[0]) : .array(ids.map(JSONValue.integer))
    }
}
