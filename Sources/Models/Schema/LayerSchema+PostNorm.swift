extension LayerSchema {
    /// A layer with norms behind attention and feed-forward network, none before them, and norms of whole queries and
    /// keys (OLMo 2).
    package static let postNorm = LayerSchema(groups: [
        .queryKeyValue,
        .norm(.query, "self_attn.q_norm", gguf: "attn_q_norm", .queries, when: { $0.qkNorm }),
        .norm(.key, "self_attn.k_norm", gguf: "attn_k_norm", .keys, when: { $0.qkNorm }),
        .attentionOutput,
        .norm(.attentionOutput, "post_attention_layernorm", gguf: "post_attention_norm", .hidden),
        .gateUp, .down,
        .norm(.feedForwardOutput, "post_feedforward_layernorm", gguf: "post_ffw_norm", .hidden),
    ])

    /// A layer with norms before and behind both (Gemma 2 and 3).
    package static let fourNorms = LayerSchema(
        groups: [.norm(.attentionInput, "input_layernorm", gguf: "attn_norm", .hidden), .queryKeyValue]
            + Group.headNorms
            + [
                .attentionOutput,
                .norm(.attentionOutput, "post_attention_layernorm", gguf: "post_attention_norm", .hidden),
                .norm(.feedForwardInput, "pre_feedforward_layernorm", gguf: "ffn_norm", .hidden), .gateUp, .down,
                .norm(.feedForwardOutput, "post_feedforward_layernorm", gguf: "post_ffw_norm", .hidden),
            ])
}
