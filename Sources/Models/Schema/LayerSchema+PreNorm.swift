extension LayerSchema {
    /// The layer of Llama and of those who follow it: norm, attention, norm, gated feed-forward network.
    package static let preNorm = LayerSchema(groups: [
        .norm(.attentionInput, "input_layernorm", gguf: "attn_norm", .hidden),
        .matrices(
            .queryKeyValue, bias: { $0.attentionInputBias },
            [
                Module(
                    "self_attn.q_proj", gguf: "attn_q", [.queries, .hidden], target: .query, rotaryHeads: .heads),
                Module(
                    "self_attn.k_proj", gguf: "attn_k", [.keys, .hidden], target: .key, rotaryHeads: .keyValueHeads),
                Module("self_attn.v_proj", gguf: "attn_v", [.keys, .hidden], target: .value),
            ]),
        .norm(.query, "self_attn.q_norm", gguf: "attn_q_norm", .headSize, when: { $0.qkNorm }),
        .norm(.key, "self_attn.k_norm", gguf: "attn_k_norm", .headSize, when: { $0.qkNorm }),
        .matrices(
            .output, bias: { $0.attentionOutputBias },
            [
                Module(
                    "self_attn.o_proj", gguf: "attn_output", [.hidden, .queries], target: .output,
                    initialization: .residual)
            ]),
        // Transformers calls it by where it stands, llama.cpp by what it is for.
        .norm(.feedForwardInput, "post_attention_layernorm", gguf: "ffn_norm", .hidden),
        .matrices(
            .gateUp, bias: { $0.mlpBias },
            [
                Module("mlp.gate_proj", gguf: "ffn_gate", [.intermediate, .hidden], target: .gate),
                Module("mlp.up_proj", gguf: "ffn_up", [.intermediate, .hidden], target: .up),
            ]),
        .matrices(
            .down, bias: { $0.mlpBias },
            [
                Module(
                    "mlp.down_proj", gguf: "ffn_down", [.hidden, .intermediate], target: .down,
                    initialization: .residual)
            ]),
    ])
}
