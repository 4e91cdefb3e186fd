extension Family {
    /// Granite 3 with dense layers: Llama with multipliers of embeddings, attention, residual additions and logits.
    ///
    /// Defaults are those of transformers' `GraniteConfig`.
    package static let granite = Family(
        name: "granite", title: "Granite 3", architecture: "GraniteForCausalLM",
        defaults: Defaults(maxPositions: 2048, bosTokenID: 1, eosTokenIDs: [2]),
        schema: ModelSchema(layer: .preNorm),
        foreignKeys: rareKeys(without: "embedding_multiplier", "residual_multiplier", "logits_scaling"),
        gguf: GGUFForm(
            architecture: "granite", interleavesRotaryRows: true,
            readMetadata: { metadata, configuration in
                configuration.multipliers.embedding = try metadata.optionalFloat("embedding_scale") ?? 1
                configuration.multipliers.residual = try metadata.optionalFloat("residual_scale") ?? 1
                configuration.multipliers.attention = try metadata.optionalFloat("attention.scale")
                configuration.multipliers.logitDivisor = try metadata.optionalFloat("logit_scale") ?? 1
            }),
        readKeys: { reader, configuration in
            let attentionBias = try reader.bool("attention_bias", default: false)
            configuration.attentionInputBias = attentionBias
            configuration.attentionOutputBias = attentionBias
            configuration.mlpBias = try reader.bool("mlp_bias", default: false)
            configuration.multipliers.embedding = try reader.optionalPositive("embedding_multiplier") ?? 1
            configuration.multipliers.residual = try reader.optionalPositive("residual_multiplier") ?? 1
            configuration.multipliers.attention = try reader.optionalPositive("attention_multiplier") ?? 1
            configuration.multipliers.logitDivisor = try reader.optionalPositive("logits_scaling") ?? 1
        },
        writeKeys: { configuration, json in
            let multipliers = configuration.multipliers
            json["attention_bias"] = .bool(configuration.attentionInputBias)
            json["mlp_bias"] = .bool(configuration.mlpBias)
            json["embedding_multiplier"] = .shortest(multipliers.embedding)
            json["residual_multiplier"] = .shortest(multipliers.residual)
            json["attention_multiplier"] = .shortest(multipliers.attention ?? 1)
            json["logits_scaling"] = .shortest(multipliers.logitDivisor)
        })
}
