/// The parameters of a model: what stands before its layers, one layer's table, and what stands after them.
package struct ModelSchema: Sendable {
    /// The prefix of a layer's names is this, the layer's number and a full stop.
    package var layerPrefix = "model.layers."
    /// The same in GGUF files.
    package var ggufLayerPrefix = "blk."
    package var embedding = Module("model.embed_tokens", gguf: "token_embd", [.vocabulary, .hidden])
    package var layer: LayerSchema
    package var finalNorm = Module("model.norm", gguf: "output_norm", [.hidden], initialization: .ones)
    /// Absent where the head shares the embedding's weights.
    package var head = Module("lm_head", gguf: "output", [.vocabulary, .hidden])

    /// What is added to every stored weight of a norm before it multiplies: 1 where families store weights around 0.
    package var normOffset: Float = 0

    package func names(layer index: Int) -> LayerNames { LayerNames(schema: layer, prefix: "\(layerPrefix)\(index).") }
}

/// Hugging Face names of the parameters of one layer, whether the model has these or not.
package struct LayerNames {
    package let schema: LayerSchema
    package let prefix: String

    /// The names of matrices, in the order in which they are stacked.
    package func weights(_ group: MatrixGroup) -> [String] { names(.matrices(group), ".weight") }

    /// The names of the biases of matrices, in the order of the matrices.
    package func biases(_ group: MatrixGroup) -> [String] { names(.matrices(group), ".bias") }

    /// The name of a norm's weight; empty where the schema has no such norm.
    package func weight(_ norm: NormRole) -> [String] { names(.norm(norm), ".weight") }

    private func names(_ role: LayerSchema.Role, _ suffix: String) -> [String] {
        schema.groups.first { $0.role == role }?.modules.map { prefix + $0.name + suffix } ?? []
    }
}
