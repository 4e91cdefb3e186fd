// What the layers of several families have in common.

extension LayerSchema.Group {
    /// Projections to queries, keys and values, each a matrix of its own in files.
    static let queryKeyValue = matrices(
        .queryKeyValue, bias: { $0.attentionInputBias },
        [
            Module("self_attn.q_proj", gguf: "attn_q", [.queries, .hidden], target: .query, rotaryHeads: .heads),
            Module("self_attn.k_proj", gguf: "attn_k", [.keys, .hidden], target: .key, rotaryHeads: .keyValueHeads),
            Module("self_attn.v_proj", gguf: "attn_v", [.keys, .hidden], target: .value),
        ])

    /// The projection of what heads attended to.
    static let attentionOutput = matrices(
        .output, bias: { $0.attentionOutputBias },
        [
            Module(
                "self_attn.o_proj", gguf: "attn_output", [.hidden, .queries], target: .output,
                initialization: .residual)
        ])

    /// Norms of every query and key head by itself.
    static let headNorms: [Self] = [
        .norm(.query, "self_attn.q_norm", gguf: "attn_q_norm", .headSize, when: { $0.qkNorm }),
        .norm(.key, "self_attn.k_norm", gguf: "attn_k_norm", .headSize, when: { $0.qkNorm }),
    ]

    /// Gate and up of a feed-forward network, each a matrix of its own in files.
    static let gateUp = matrices(
        .gateUp, bias: { $0.mlpBias },
        [
            Module("mlp.gate_proj", gguf: "ffn_gate", [.intermediate, .hidden], target: .gate),
            Module("mlp.up_proj", gguf: "ffn_up", [.intermediate, .hidden], target: .up),
        ])

    /// The projection back to the residual stream.
    static let down = matrices(
        .down, bias: { $0.mlpBias },
        [Module("mlp.down_proj", gguf: "ffn_down", [.hidden, .intermediate], target: .down, initialization: .residual)])
}
