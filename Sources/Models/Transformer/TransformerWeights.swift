import Compute

/// A model's weights as the engine computes with them: matrices packed for y = x Wᵀ, vectors as f32.
///
/// Shapes: C hidden, I intermediate, V vocabulary, H heads, KV key/value heads, D head size.
package final class TransformerWeights {
    /// One decoder layer.
    package struct Layer {
        let inputNorm: Tensor  // [1, C]
        let queryKeyValue: PackedMatrix  // [(H + 2 KV) D, C]
        let queryKeyValueBias: Tensor?
        let queryNorm: Tensor?  // [1, D]
        let keyNorm: Tensor?  // [1, D]
        let output: PackedMatrix  // [C, H D]
        let outputBias: Tensor?
        let postAttentionNorm: Tensor  // [1, C]
        let gateUp: PackedMatrix  // [2 I, C]
        let gateUpBias: Tensor?
        let down: PackedMatrix  // [C, I]
        let downBias: Tensor?
    }

    /// [V, C] in the compute type, for look-up by row.
    let embedding: Tensor
    let layers: [Layer]
    let finalNorm: Tensor
    /// [V, C]; the embedding again where heads are tied.
    package let head: PackedMatrix
    let type: ElementType
    private let configuration: ModelConfiguration

    /// Packs `parameters`, which are not kept.
    init(_ parameters: ParameterBuffer, configuration: ModelConfiguration, type: ElementType, context: ComputeContext) {
        self.configuration = configuration
        self.type = type
        func copied(_ source: Tensor, as type: ElementType = .f32) -> Tensor {
            let copy = Tensor(rows: source.rows, columns: source.columns, type: type)
            context.convert(from: source, to: copy)
            return copy
        }
        func vector(_ name: String) -> Tensor? { parameters.tensor(name).map { copied($0) } }
        func packed(_ tensor: Tensor?) -> PackedMatrix { context.pack(tensor!, as: type) }

        let table = parameters.tensor(embeddingName)!
        embedding = copied(table, as: type)
        layers = (0..<configuration.layerCount).map { index in
            let names = LayerNames(layer: index)
            return Layer(
                inputNorm: vector(names.inputNorm)!,
                queryKeyValue: packed(parameters.fused(names.queryKeyValue("weight"))),
                queryKeyValueBias: parameters.fused(names.queryKeyValue("bias")).map { copied($0) },
                queryNorm: vector(names.queryNorm), keyNorm: vector(names.keyNorm),
                output: packed(parameters.tensor(names.output("weight"))), outputBias: vector(names.output("bias")),
                postAttentionNorm: vector(names.postAttentionNorm)!,
                gateUp: packed(parameters.fused(names.gateUp("weight"))),
                gateUpBias: parameters.fused(names.gateUp("bias")).map { copied($0) },
                down: packed(parameters.tensor(names.down("weight"))), downBias: vector(names.down("bias")))
        }
        finalNorm = vector(finalNormName)!
        head = packed(parameters.tensor(headName) ?? table)
    }

    /// Replaces every weight in place: no allocation, sequences in flight keep their caches.
    func update(from parameters: ParameterBuffer, context: ComputeContext) {
        func copy(_ name: String, to destination: Tensor?) {
            if let destination, let source = parameters.tensor(name) { context.convert(from: source, to: destination) }
        }
        func copy(_ names: [String], to destination: Tensor?) {
            if let destination, let source = parameters.fused(names) { context.convert(from: source, to: destination) }
        }
        copy(embeddingName, to: embedding)
        for (index, layer) in layers.enumerated() {
            let names = LayerNames(layer: index)
            copy(names.inputNorm, to: layer.inputNorm)
            copy(names.queryKeyValue("bias"), to: layer.queryKeyValueBias)
            copy(names.queryNorm, to: layer.queryNorm)
            copy(names.keyNorm, to: layer.keyNorm)
            copy(names.output("bias"), to: layer.outputBias)
            copy(names.postAttentionNorm, to: layer.postAttentionNorm)
            copy(names.gateUp("bias"), to: layer.gateUpBias)
            copy(names.down("bias"), to: layer.downBias)
            context.repack(parameters.fused(names.queryKeyValue("weight"))!, into: layer.queryKeyValue)
            context.repack(parameters.tensor(names.output("weight"))!, into: layer.output)
            context.repack(parameters.fused(names.gateUp("weight"))!, into: layer.gateUp)
            context.repack(parameters.tensor(names.down("weight"))!, into: layer.down)
        }
        copy(finalNormName, to: finalNorm)
        context.repack(parameters.tensor(headName) ?? parameters.tensor(embeddingName)!, into: head)
    }
}

/// The same matrices packed for dx = dy W, which only training needs.
final class TransposedWeights {
    struct Layer {
        let queryKeyValue: PackedMatrix
        let output: PackedMatrix
        let gateUp: PackedMatrix
        let down: PackedMatrix
    }
    let layers: [Layer]
    let head: PackedHeadTranspose

    init(_ parameters: ParameterBuffer, configuration: ModelConfiguration, type: ElementType, context: ComputeContext) {
        func packed(_ tensor: Tensor?) -> PackedMatrix { context.pack(tensor!, as: type, transposed: true) }
        layers = (0..<configuration.layerCount).map { index in
            let names = LayerNames(layer: index)
            return Layer(
                queryKeyValue: packed(parameters.fused(names.queryKeyValue("weight"))),
                output: packed(parameters.tensor(names.output("weight"))),
                gateUp: packed(parameters.fused(names.gateUp("weight"))),
                down: packed(parameters.tensor(names.down("weight"))))
        }
        head = context.packHeadTranspose(
            parameters.tensor(headName) ?? parameters.tensor(embeddingName)!, as: type)
    }

    func update(from parameters: ParameterBuffer, context: ComputeContext) {
        for (index, layer) in layers.enumerated() {
            let names = LayerNames(layer: index)
            context.repack(parameters.fused(names.queryKeyValue("weight"))!, into: layer.queryKeyValue)
            context.repack(parameters.tensor(names.output("weight"))!, into: layer.output)
            context.repack(parameters.fused(names.gateUp("weight"))!, into: layer.gateUp)
            context.repack(parameters.tensor(names.down("weight"))!, into: layer.down)
        }
        context.repack(parameters.tensor(headName) ?? parameters.tensor(embeddingName)!, into: head)
    }
}
