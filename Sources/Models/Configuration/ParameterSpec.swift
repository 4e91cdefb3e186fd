/// One parameter of a model: its Hugging Face name and shape.
package struct ParameterSpec: Sendable, Equatable {
    /// As in a Hugging Face checkpoint, e.g. `model.layers.0.self_attn.q_proj.weight`.
    package let name: String
    /// `[outputs, inputs]` for a matrix, `[count]` for a vector.
    package let shape: [Int]

    package init(name: String, shape: [Int]) {
        self.name = name
        self.shape = shape
    }

    /// Number of values.
    package var count: Int { shape.reduce(1, *) }
    /// Matrices are stored and broadcast in the compute type, vectors (norms, biases) always in f32.
    package var isMatrix: Bool { shape.count == 2 }
}

extension ModelConfiguration {
    /// Every parameter in the canonical order: the order of the trainer's arena, of weight snapshots and of files
    /// we write. q, k, v and gate, up are adjacent, so that a fused matrix is a slice of the arena.
    package var parameters: [ParameterSpec] {
        var specs: [ParameterSpec] = []
        func add(_ name: String, _ shape: Int...) { specs.append(ParameterSpec(name: name, shape: shape)) }
        let queries = headCount * headDimension
        let keys = keyValueHeadCount * headDimension
        add("model.embed_tokens.weight", vocabularySize, hiddenSize)
        for layer in 0..<layerCount {
            let prefix = "model.layers.\(layer)."
            let attention = prefix + "self_attn."
            add(prefix + "input_layernorm.weight", hiddenSize)
            add(attention + "q_proj.weight", queries, hiddenSize)
            add(attention + "k_proj.weight", keys, hiddenSize)
            add(attention + "v_proj.weight", keys, hiddenSize)
            if attentionInputBias {
                add(attention + "q_proj.bias", queries)
                add(attention + "k_proj.bias", keys)
                add(attention + "v_proj.bias", keys)
            }
            if qkNorm {
                add(attention + "q_norm.weight", headDimension)
                add(attention + "k_norm.weight", headDimension)
            }
            add(attention + "o_proj.weight", hiddenSize, queries)
            if attentionOutputBias { add(attention + "o_proj.bias", hiddenSize) }
            add(prefix + "post_attention_layernorm.weight", hiddenSize)
            add(prefix + "mlp.gate_proj.weight", intermediateSize, hiddenSize)
            add(prefix + "mlp.up_proj.weight", intermediateSize, hiddenSize)
            if mlpBias {
                add(prefix + "mlp.gate_proj.bias", intermediateSize)
                add(prefix + "mlp.up_proj.bias", intermediateSize)
            }
            add(prefix + "mlp.down_proj.weight", hiddenSize, intermediateSize)
            if mlpBias { add(prefix + "mlp.down_proj.bias", hiddenSize) }
        }
        add("model.norm.weight", hiddenSize)
        if !tiedEmbeddings { add("lm_head.weight", vocabularySize, hiddenSize) }
        return specs
    }

    /// Number of trainable values.
    package var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }
}
