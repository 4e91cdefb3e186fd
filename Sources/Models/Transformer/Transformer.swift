import Compute

/// Tokens of several sequences side by side, never padded.
package struct TokenBatch {
    /// [T] token ids, segment after segment.
    package var ids: [Int32]
    /// Which rows belong to which sequence, at which positions, with which cache pages.
    package var segments: [Segment]

    package init(ids: [Int32] = [], segments: [Segment] = []) {
        self.ids = ids
        self.segments = segments
    }

    /// Forgets all tokens, but keeps the memory they took.
    package mutating func removeAll() {
        ids.removeAll(keepingCapacity: true)
        segments.removeAll(keepingCapacity: true)
    }

    /// Adds the next tokens of a sequence, whose pages must reach position `startPosition + ids.count`.
    package mutating func append(_ newIDs: some Collection<Int32>, startPosition: Int, pages: [Int32]) {
        segments.append(
            Segment(firstRow: ids.count, count: newIDs.count, startPosition: startPosition, pages: pages))
        ids.append(contentsOf: newIDs)
    }
}

/// A decoder-only transformer's forward pass over packed token batches with a paged key/value cache.
///
/// Sampling, scoring and training all run `forward`: the same weights give the same bits for a token whatever stands
/// beside it. The residual stream is f32; what enters a matrix product has the compute type.
package final class Transformer {
    package let configuration: ModelConfiguration
    package let context: ComputeContext
    package let weights: TransformerWeights
    package let pool: PagePool
    package let type: ElementType
    let shape: AttentionShape
    private(set) var rope: RopeTable
    private var ropePositions: Int

    private let residual: ScratchTensor
    private let normed: ScratchTensor
    private let queryKeyValue: ScratchTensor
    private let query: ScratchTensor
    private let attended: ScratchTensor
    private let gateUp: ScratchTensor
    private let activated: ScratchTensor
    private let selected: ScratchTensor
    private let selectedNormed: ScratchTensor

    /// - Parameters:
    ///   - parameters: read and packed, not kept.
    ///   - type: the compute type.
    package convenience init(
        configuration: ModelConfiguration, parameters: ParameterBuffer, type: ElementType, context: ComputeContext
    ) {
        self.init(configuration: configuration, source: parameters, type: type, context: context)
    }

    /// - Parameter source: read and packed, not kept.
    init<Source: ParameterSource>(
        configuration: ModelConfiguration, source: Source, type: ElementType, context: ComputeContext
    ) throws(Source.Failure) {
        self.configuration = configuration
        self.context = context
        self.type = type
        weights = try TransformerWeights(source, configuration: configuration, type: type, context: context)
        shape = AttentionShape(
            heads: configuration.headCount, keyValueHeads: configuration.keyValueHeadCount,
            headDimension: configuration.headDimension)
        pool = PagePool(shape: shape, layers: configuration.layerCount, type: type, pageCount: 0)
        ropePositions = min(configuration.maxPositions, 2048)
        rope = configuration.ropeTable(positions: ropePositions)
        let queryWidth = shape.heads * shape.headDimension
        residual = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
        normed = ScratchTensor(columns: configuration.hiddenSize, type: type)
        queryKeyValue = ScratchTensor(
            columns: (shape.heads + 2 * shape.keyValueHeads) * shape.headDimension, type: type)
        query = ScratchTensor(columns: queryWidth, type: type)
        attended = ScratchTensor(columns: queryWidth, type: type)
        gateUp = ScratchTensor(columns: 2 * configuration.intermediateSize, type: type)
        activated = ScratchTensor(columns: configuration.intermediateSize, type: type)
        selected = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
        selectedNormed = ScratchTensor(columns: configuration.hiddenSize, type: type)
    }

    /// Replaces the weights in place.
    package func update(from parameters: ParameterBuffer) { weights.update(from: parameters, context: context) }

    /// Runs the layers; writes keys and values into the batch's pages.
    /// - Returns: the residual stream after the last layer, [T, C] f32, valid until the next call.
    package func forward(_ batch: TokenBatch) -> Tensor {
        forward(batch, into: residual.tensor(rows: batch.ids.count), saving: nil)
    }

    /// Stage by stage, what sequences have in common once.
    /// - Parameter activations: keeps what the backward pass needs.
    /// - Returns: the residual stream, in the order of the stages' rows, valid until the next call.
    package func forward(_ batch: SharedPrefixBatch, saving activations: Activations? = nil) -> Tensor {
        let stream = activations.map { $0.begin(rows: batch.rowCount) } ?? residual.tensor(rows: batch.rowCount)
        let outputs = activations?.input(layer: weights.layers.count) ?? stream
        var first = 0
        for stage in batch.stages {
            for copy in stage.pageCopies { pool.copy(from: copy.source, to: copy.destination) }
            let rows = first..<first + stage.tokens.ids.count
            _ = forward(stage.tokens, into: stream.rows(rows), saving: activations?.view(rows))
            first = rows.upperBound
        }
        return outputs
    }

    private func forward(_ batch: TokenBatch, into stream: Tensor, saving activations: Activations.View?) -> Tensor {
        growRope(to: batch.segments.reduce(0) { max($0, $1.startPosition + $1.count) })
        var x = stream
        weights.embed(ids: batch.ids, into: x, context: context)
        for (index, layer) in weights.layers.enumerated() {
            x = attentionBlock(layer, index: index, x: x, batch: batch, activations: activations)
            x = feedForwardBlock(layer, index: index, x: x, activations: activations)
        }
        return x
    }

    /// Final norm of the given rows of the residual stream, in the compute type: what the head multiplies, [R, C].
    package func headInput(_ x: Tensor, rows: [Int32]) -> Tensor {
        let gathered = selected.tensor(rows: rows.count)
        context.embed(ids: rows, table: x, into: gathered)
        let normalized = selectedNormed.tensor(rows: rows.count)
        context.rmsNorm(gathered, weight: weights.finalNorm, epsilon: configuration.rmsNormEpsilon, into: normalized)
        return normalized
    }

    /// x + Attention(norm(x)).
    private func attentionBlock(
        _ layer: TransformerWeights.Layer, index: Int, x: Tensor, batch: TokenBatch, activations: Activations.View?
    ) -> Tensor {
        let count = x.rows
        let normalized = normed.tensor(rows: count)
        context.rmsNorm(
            x, weight: layer.norm(.attentionInput)!, epsilon: configuration.rmsNormEpsilon, into: normalized)
        let qkv = activations?.queryKeyValue(layer: index) ?? queryKeyValue.tensor(rows: count)
        context.linear(normalized, layer[.queryKeyValue], into: qkv)
        if let bias = layer.bias(.queryKeyValue) { context.addBias(bias, to: qkv) }
        let out = activations?.attended(layer: index) ?? attended.tensor(rows: count)
        if activations == nil, batch.segments.allSatisfy({ $0.count == 1 }) {
            context.attendNext(
                qkv: qkv, shape: shape, qNorm: layer.norm(.query), kNorm: layer.norm(.key),
                epsilon: configuration.rmsNormEpsilon, rope: rope, segments: batch.segments, layer: index, pool: pool,
                into: out)
        } else {
            let q = activations?.query(layer: index) ?? query.tensor(rows: count)
            context.ropeAndCache(
                qkv: qkv, shape: shape, qNorm: layer.norm(.query), kNorm: layer.norm(.key),
                epsilon: configuration.rmsNormEpsilon, rope: rope, segments: batch.segments, layer: index, pool: pool,
                into: q)
            context.attention(
                q: q, shape: shape, segments: batch.segments, layer: index, pool: pool, into: out,
                logSumExp: activations?.logSumExp(layer: index))
        }
        return addProjection(
            of: out, layer[.output], bias: layer.bias(.output), to: x, keeping: activations?.middle(layer: index))
    }

    /// x + Down(SiLU(Gate(norm(x))) * Up(norm(x))).
    private func feedForwardBlock(
        _ layer: TransformerWeights.Layer, index: Int, x: Tensor, activations: Activations.View?
    ) -> Tensor {
        let count = x.rows
        let normalized = normed.tensor(rows: count)
        context.rmsNorm(
            x, weight: layer.norm(.feedForwardInput)!, epsilon: configuration.rmsNormEpsilon, into: normalized)
        let gates = activations?.gateUp(layer: index) ?? gateUp.tensor(rows: count)
        context.linear(normalized, layer[.gateUp], into: gates)
        if let bias = layer.bias(.gateUp) { context.addBias(bias, to: gates) }
        let hidden = activated.tensor(rows: count)
        context.gatedActivation(gates, into: hidden)
        return addProjection(
            of: hidden, layer[.down], bias: layer.bias(.down), to: x, keeping: activations?.input(layer: index + 1))
    }

    /// x + y Wᵀ + bias, in place, or into `destination` when the backward pass still needs x.
    private func addProjection(
        of y: Tensor, _ matrix: PackedMatrix, bias: Tensor?, to x: Tensor, keeping destination: Tensor?
    ) -> Tensor {
        if let destination { context.convert(from: x, to: destination) }
        let sum = destination ?? x
        context.linear(y, matrix, into: sum, accumulate: true)
        if let bias { context.addBias(bias, to: sum) }
        return sum
    }

    private func growRope(to positions: Int) {
        guard positions > ropePositions else { return }
        ropePositions = max(positions, min(configuration.maxPositions, ropePositions * 2))
        rope = configuration.ropeTable(positions: ropePositions)
    }
}
