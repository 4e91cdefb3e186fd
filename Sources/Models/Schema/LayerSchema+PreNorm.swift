extension LayerSchema {
    /// The layer of Llama and of those who follow it: norm, attention, norm, gated feed-forward network.
    package static let preNorm = LayerSchema(
        groups: [.norm(.attentionInput, "input_layernorm", gguf: "attn_norm", .hidden), .queryKeyValue]
            + Group.headNorms
            // Transformers calls it by where it stands, llama.cpp by what it is for.
            + [
                .attentionOutput, .norm(.feedForwardInput, "post_attention_layernorm", gguf: "ffn_norm", .hidden),
                .gateUp, .down,
            ])

    /// The same with one matrix in files for query, key and value, and one for gate and up (Phi-3).
    package static let preNormFused = LayerSchema(groups: [
        .norm(.attentionInput, "input_layernorm", gguf: "attn_norm", .hidden),
        .matrices(
            .queryKeyValue, bias: { _ in false },
            [Module("self_attn.qkv_proj", gguf: "attn_qkv", [.queriesKeysValues, .hidden], target: .queryKeyValue)]),
        .attentionOutput,
        .norm(.feedForwardInput, "post_attention_layernorm", gguf: "ffn_norm", .hidden),
        // llama.cpp's name for both of them.
        .matrices(
            .gateUp, bias: { _ in false },
            [Module("mlp.gate_up_proj", gguf: "ffn_up", [.gatesUps, .hidden], target: .gateUp)]),
        .down,
    ])
}
