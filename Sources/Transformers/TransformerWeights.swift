import Compute
import Models
import Rules

/// A model's weights as the engine computes with them: matrices packed for y = x Wᵀ, vectors as f32.
///
/// Shapes: C hidden, I intermediate, V vocabulary, H heads, KV key/value heads, D head size.
package final class TransformerWeights {
    /// One decoder layer.
    package struct Layer {
        /// Query, key and value [(H + 2 KV) D, C], output [C, H D], gate and up [2 I, C], down [C, I].
        /// Nil where the layer has no such matrices.
        fileprivate let matrices: RoleTable<MatrixGroup, PackedMatrix?>
        /// [1, rows of the matrix], where a model has it.
        fileprivate let biases: RoleTable<MatrixGroup, Tensor?>
        /// What is multiplied with, the stored weight and the schema's offset: [1, C], of queries and keys [1, D], or as
        /// wide as all of them; nil where a model has no such norm.
        fileprivate let norms: RoleTable<NormRole, Tensor?>
        /// The matrices of its experts; none where the layer has one feed-forward network.
        let experts: [ExpertMatrices]

        /// The matrices of a group that the layer has.
        subscript(group: MatrixGroup) -> PackedMatrix {
            guard let matrix = matrices[group] else { preconditionFailure("a layer without \(group) matrices") }
            return matrix
        }
        func has(_ group: MatrixGroup) -> Bool { matrices[group] != nil }
        func bias(_ group: MatrixGroup) -> Tensor? { biases[group] }
        func norm(_ role: NormRole) -> Tensor? { norms[role] }
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
        let schema = configuration.schema
        func copied(_ tensor: Tensor, as type: ElementType = .f32) -> Tensor {
            let copy = Tensor(rows: tensor.rows, columns: tensor.columns, type: type)
            context.convert(from: tensor, to: copy)
            return copy
        }
        func vector(_ names: [String]) throws(Source.Failure) -> Tensor? { try source.fused(names).map { copied($0) } }
        func norm(_ names: [String]) throws(Source.Failure) -> Tensor? {
            let weight = try vector(names)
            weight.map(schema.addNormOffset(to:))
            return weight
        }

        head = context.pack(try source.fused([configuration.headName])!, as: type)
        embedding =
            configuration.tiedEmbeddings && head.hasReadableRows
            ? nil : copied(try source.tensor(schema.embedding.weight)!, as: type)
        layers = try (0..<configuration.layerCount).map { index throws(Source.Failure) -> Layer in
            let names = schema.names(layer: index)
            return Layer(
                matrices: try RoleTable { group throws(Source.Failure) in
                    try source.fused(names.weights(group)).map { context.pack($0, as: type) }
                },
                biases: try RoleTable { group throws(Source.Failure) in try vector(names.biases(group)) },
                norms: try RoleTable { role throws(Source.Failure) in try norm(names.weight(role)) },
                experts: try (0..<configuration.expertCount(layer: index)).map {
                    expert throws(Source.Failure) -> ExpertMatrices in
                    let names = names.expert(expert)
                    return ExpertMatrices(
                        gateUp: context.pack(try source.fused(names.gateUp)!, as: type),
                        down: context.pack(try source.fused(names.down)!, as: type))
                })
        }
        finalNorm = try norm([schema.finalNorm.weight])!
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
        let schema = configuration.schema
        func copy(_ names: [String], to destination: Tensor?) {
            if let destination, let source = parameters.fused(names) { context.convert(from: source, to: destination) }
        }
        copy([schema.embedding.weight], to: embedding)
        for (index, layer) in layers.enumerated() {
            let names = schema.names(layer: index)
            for role in NormRole.allCases {
                copy(names.weight(role), to: layer.norm(role))
                layer.norm(role).map(schema.addNormOffset(to:))
            }
            for group in MatrixGroup.allCases where layer.has(group) {
                copy(names.biases(group), to: layer.bias(group))
                context.repack(parameters.fused(names.weights(group))!, into: layer[group])
            }
            parameters.repack(layer.experts, names, context)
        }
        copy([schema.finalNorm.weight], to: finalNorm)
        schema.addNormOffset(to: finalNorm)
        context.repack(parameters.tensor(configuration.headName)!, into: head)
    }
}

extension ModelConfiguration {
    /// The name of the matrix that the head multiplies with: the embedding's where heads are tied.
    var headName: String { tiedEmbeddings ? schema.embedding.weight : schema.head.weight }
}

extension ModelSchema {
    /// Makes what a norm multiplies with of its stored weight [1, C].
    fileprivate func addNormOffset(to weight: Tensor) {
        guard normOffset != 0 else { return }
        for index in 0..<weight.count { weight.f32[index] += normOffset }
    }
}

/// The same matrices packed for dx = dy W, which only training needs.
final class TransposedWeights {
    /// The packed matrices of each layer; nil where it has no such ones.
    let layers: [RoleTable<MatrixGroup, PackedMatrix?>]
    /// The experts of each layer; none where it has one feed-forward network.
    let experts: [[ExpertMatrices]]
    let head: PackedHeadTranspose
    private let configuration: ModelConfiguration

    init(_ parameters: ParameterBuffer, configuration: ModelConfiguration, type: ElementType, context: ComputeContext) {
        self.configuration = configuration
        layers = (0..<configuration.layerCount).map { index in
            let names = configuration.schema.names(layer: index)
            return RoleTable { group in
                parameters.fused(names.weights(group)).map { context.pack($0, as: type, transposed: true) }
            }
        }
        experts = (0..<configuration.layerCount).map { index in
            let names = configuration.schema.names(layer: index)
            return (0..<configuration.expertCount(layer: index)).map { expert in
                let names = names.expert(expert)
                return ExpertMatrices(
                    gateUp: context.pack(parameters.fused(names.gateUp)!, as: type, transposed: true),
                    down: context.pack(parameters.fused(names.down)!, as: type, transposed: true))
            }
        }
        head = context.packHeadTranspose(parameters.tensor(configuration.headName)!, as: type)
    }

    func update(from parameters: ParameterBuffer, context: ComputeContext) {
        for (index, layer) in layers.enumerated() {
            let names = configuration.schema.names(layer: index)
            for group in MatrixGroup.allCases {
                guard let matrix = layer[group] else { continue }
                context.repack(parameters.fused(names.weights(group))!, into: matrix)
            }
            parameters.repack(experts[index], names, context)
        }
        context.repack(parameters.tensor(configuration.headName)!, into: head)
    }
}

extension ModelConfiguration {
    /// Experts of one layer, 0 where it has one feed-forward network.
    fileprivate func expertCount(layer: Int) -> Int { hasExperts(layer: layer) ? experts?.count ?? 0 : 0 }
}

extension ParameterBuffer {
    /// Packs the experts of a layer anew.
    fileprivate func repack(_ experts: [ExpertMatrices], _ names: LayerNames, _ context: ComputeContext) {
        for (index, matrices) in experts.enumerated() {
            let names = names.expert(index)
            context.repack(fused(names.gateUp)!, into: matrices.gateUp)
            context.repack(fused(names.down)!, into: matrices.down)
        }
    }
}
