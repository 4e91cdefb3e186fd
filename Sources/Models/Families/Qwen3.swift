extension Family {
    /// Qwen 3 with dense layers: RMS norms on every query and key head, and heads of a size of their own.
    ///
    /// Defaults are those of transformers' `Qwen3Config`.
    package static let qwen3 = Family(
        name: "qwen3", title: "Qwen 3", architecture: "Qwen3ForCausalLM",
        defaults: Defaults(keyValueHeadCount: 32, headDimension: 128, maxPositions: 32768),
        schema: ModelSchema(layer: .preNorm),
        gguf: GGUFForm(
            architecture: "qwen3",
            // A file without these would be read as another model.
            refusal: {
                !$0.attentionInputBias && $0.qkNorm ? nil : "biases or q/k norms that a qwen3 model does not have"
            }),
        readKeys: { reader, configuration in
            configuration.qkNorm = true
            let attentionBias = try reader.bool("attention_bias", default: false)
            configuration.attentionInputBias = attentionBias
            configuration.attentionOutputBias = attentionBias
            try reader.readQwenWindow(&configuration)
        },
        writeKeys: { configuration, json in
            json["attention_bias"] = .bool(configuration.attentionInputBias)
            configuration.writeQwenWindow(&json)
        })
}
