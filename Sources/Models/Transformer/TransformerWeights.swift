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

        subscript(group: MatrixGroup) -> PackedMatrix {
            switch group {
            case .queryKeyValue: queryKeyValue
            case .output: output
            case .gateUp: gateUp
            case .down: down
            }
        }
    }

    /// [V, C] in the compute type, for look-up by row. Nil where `head` is the same matrix and its rows can be read.
    private let embedding: Tensor?
    let layers: [Layer]
    let finalNorm: Tensor
    /// [V, C]; the embedding again where heads are tied.
    package let head: PackedMatrix
    let type: ElementType
    private let configuration: ModelConfiguration

    /// Packs the parameters of `source`, the largest first: reading it takes most memory beside what is packed.
    init<Source: ParameterSource>(
        _ source: Source, configuration: ModelConfiguration, type: ElementType, context: ComputeContext
    ) throws(Source.Failure) {
        self.configuration = configuration
        self.type = type
        func copied(_ tensor: Tensor, as type: ElementType = .f32) -> Tensor {
            let copy = Tensor(rows: tensor.rows, columns: tensor.columns, type: type)
            context.convert(from: tensor, to: copy)
            return copy
        }
        func vector(_ name: String) throws(Source.Failure) -> Tensor? { try source.tensor(name).map { copied($0) } }
        func vector(_ names: [String]) throws(Source.Failure) -> Tensor? { try source.fused(names).map { copied($0) } }
        func packed(_ names: [String]) throws(Source.Failure) -> PackedMatrix {
            context.pack(try source.fused(names)!, as: type)
        }

        head = try packed([configuration.tiedEmbeddings ? embeddingName : headName])
        embedding =
            configuration.tiedEmbeddings && head.hasReadableRows
            ? nil : copied(try source.tensor(embeddingName)!, as: type)
        layers = try (0..<configuration.layerCount).map { index throws(Source.Failure) -> Layer in
            let names = LayerNames(layer: index)
            return Layer(
                inputNorm: try vector(names.inputNorm)!,
                queryKeyValue: try packed(names.queryKeyValue("weight")),
                queryKeyValueBias: try vector(names.queryKeyValue("bias")),
                queryNorm: try vector(names.queryNorm), keyNorm: try vector(names.keyNorm),
                output: try packed([names.output("weight")]), outputBias: try vector(names.output("bias")),
                postAttentionNorm: try vector(names.postAttentionNorm)!,
                gateUp: try packed(names.gateUp("weight")), gateUpBias: try vector(names.gateUp("bias")),
                down: try packed([names.down("weight")]), downBias: try vector(names.down("bias")))
        }
        finalNorm = try vector(finalNormName)!
    }

    /// x[t] = the embedding of ids[t], [T, C] f32.
    func embed(ids: [Int32], into x: Tensor, context: ComputeContext) {
        if let embedding {
            context.embed(ids: ids, table: embedding, into: x)
        } else {
            context.embed(ids: ids, packed: head, into: x)
        }
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

        subscript(group: MatrixGroup) -> PackedMatrix {
            switch group {
            case .queryKeyValue: queryKeyValue
            case .output: output
            case .gateUp: gateUp
            case .down: down
            }
        }
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
