extension Family {
    /// OLMo 2: norms behind attention and feed-forward network alone, and norms of whole queries and keys.
    ///
    /// Defaults are those of transformers' `Olmo2Config`.
    package static let olmo2 = Family(
        name: "olmo2", title: "OLMo 2", architecture: "Olmo2ForCausalLM",
        defaults: Defaults(maxPositions: 2048, rmsNormEpsilon: 1e-5, eosTokenIDs: [50279]),
        schema: ModelSchema(layer: .postNorm),
        gguf: GGUFForm(
            architecture: "olmo2",
            refusal: { $0.qkNorm ? nil : "an olmo2 model without norms of queries and keys is not supported" }),
        readKeys: { reader, configuration in
            configuration.qkNorm = true
            let attentionBias = try reader.bool("attention_bias", default: false)
            configuration.attentionInputBias = attentionBias
            configuration.attentionOutputBias = attentionBias
        },
        writeKeys: { configuration, json in json["attention_bias"] = .bool(configuration.attentionInputBias) })
}
