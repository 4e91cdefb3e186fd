extension Family {
    /// Llama 1 to 3.3, and models that are built like it: SmolLM and SmolLM2, TinyLlama.
    ///
    /// Defaults are those of transformers' `LlamaConfig`, which names the tokens of the first Llama when a file names
    /// none.
    package static let llama = Family(
        name: "llama", title: "Llama", architecture: "LlamaForCausalLM",
        defaults: Defaults(maxPositions: 2048, bosTokenID: 1, eosTokenIDs: [2]),
        schema: ModelSchema(layer: .preNorm),
        gguf: GGUFForm(
            architecture: "llama", interleavesRotaryRows: true,
            refusal: { $0.qkNorm ? "q/k norms in a llama model are not supported" : nil }),
        readKeys: { reader, configuration in
            let attentionBias = try reader.bool("attention_bias", default: false)
            configuration.attentionInputBias = attentionBias
            configuration.attentionOutputBias = attentionBias
            configuration.mlpBias = try reader.bool("mlp_bias", default: false)
        },
        writeKeys: { configuration, json in
            json["attention_bias"] = .bool(configuration.attentionInputBias)
            json["mlp_bias"] = .bool(configuration.mlpBias)
        })
}
