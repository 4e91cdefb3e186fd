import Compute
import Models
import Rules

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
    /// - Parameter isLong: of ``Segment/isLong``.
    package mutating func append(
        _ newIDs: some Collection<Int32>, startPosition: Int, pages: [Int32], isLong: Bool = false
    ) {
        segments.append(
            Segment(
                firstRow: ids.count, count: newIDs.count, startPosition: startPosition, pages: pages, isLong: isLong))
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
    /// What attention of each layer does beside its shape.
    let rules: [AttentionRule]
    /// What becomes of the head's products before the temperature.
    package let headRule: HeadRule
    private(set) var ropes: RopeTables
    /// What embeddings are multiplied with.
    let embeddingScale: Float

    private let residual: ScratchTensor
    private let normed: ScratchTensor
    private let queryKeyValue: ScratchTensor
    private let query: ScratchTensor
    private let attended: ScratchTensor
    private let gateUp: ScratchTensor
    private let activated: ScratchTensor
    private let branch: ScratchTensor  // what a block adds, where it is not added at once
    private let routerLogits: ScratchTensor  // [T, E]
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
        rules = (0..<configuration.layerCount).map(configuration.attentionRule)
        headRule = configuration.headRule
        ropes = RopeTables(configuration)
        embeddingScale = configuration.embeddingScale(in: type)
        let queryWidth = shape.heads * shape.headDimension
        residual = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
        normed = ScratchTensor(columns: configuration.hiddenSize, type: type)
        queryKeyValue = ScratchTensor(
            columns: (shape.heads + 2 * shape.keyValueHeads) * shape.headDimension, type: type)
        query = ScratchTensor(columns: queryWidth, type: type)
        attended = ScratchTensor(columns: queryWidth, type: type)
        gateUp = ScratchTensor(columns: 2 * configuration.intermediateSize, type: type)
        activated = ScratchTensor(columns: configuration.intermediateSize, type: type)
        branch = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
        routerLogits = ScratchTensor(columns: max(1, configuration.size(.experts)), type: .f32)
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
        ropes.grow(to: batch.segments.reduce(0) { max($0, $1.startPosition + $1.count) })
        var x = stream
        weights.embed(ids: batch.ids, into: x, context: context)
        if embeddingScale != 1 { context.scale(x, by: embeddingScale) }
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

    /// x + norm(Attention(norm(x))), with the norms that the layer has.
    private func attentionBlock(
        _ layer: TransformerWeights.Layer, index: Int, x: Tensor, batch: TokenBatch, activations: Activations.View?
    ) -> Tensor {
        let count = x.rows
        let normalized = blockInput(x, layer.norm(.attentionInput), into: normed.tensor(rows: count))
        let qkv = activations?.queryKeyValue(layer: index) ?? queryKeyValue.tensor(rows: count)
        context.linear(normalized, layer[.queryKeyValue], into: qkv)
        if let bias = layer.bias(.queryKeyValue) { context.addBias(bias, to: qkv) }
        let out = activations?.attended(layer: index) ?? attended.tensor(rows: count)
        if activations == nil, batch.segments.allSatisfy({ $0.count == 1 }) {
            forEachRope(layer: index, batch.segments) { rope, segments in
                context.attendNext(
                    qkv: qkv, shape: shape, qNorm: layer.norm(.query), kNorm: layer.norm(.key),
                    epsilon: configuration.rmsNormEpsilon, rope: rope, rule: rules[index], segments: segments,
                    layer: index, pool: pool, into: out)
            }
        } else {
            let q = activations?.query(layer: index) ?? query.tensor(rows: count)
            forEachRope(layer: index, batch.segments) { rope, segments in
                context.ropeAndCache(
                    qkv: qkv, shape: shape, qNorm: layer.norm(.query), kNorm: layer.norm(.key),
                    epsilon: configuration.rmsNormEpsilon, rope: rope, segments: segments, layer: index, pool: pool,
                    into: q)
            }
            context.attention(
                q: q, shape: shape, rule: rules[index], segments: batch.segments, layer: index, pool: pool, into: out,
                logSumExp: activations?.logSumExp(layer: index))
        }
        return addBranch(
            of: out, layer[.output], bias: layer.bias(.output), norm: layer.norm(.attentionOutput), to: x,
            keeping: activations?.middle(layer: index), branch: activations?.attentionBranch(layer: index))
    }

    /// x + norm(Down(activation(Gate(norm(x))) * Up(norm(x)))), with the norms that the layer has.
    private func feedForwardBlock(
        _ layer: TransformerWeights.Layer, index: Int, x: Tensor, activations: Activations.View?
    ) -> Tensor {
        let count = x.rows
        let normalized = blockInput(x, layer.norm(.feedForwardInput), into: normed.tensor(rows: count))
        if let rule = configuration.expertRule, !layer.experts.isEmpty {
            return addExperts(of: normalized, layer, rule, to: x, keeping: activations?.input(layer: index + 1))
        }
        let gates = activations?.gateUp(layer: index) ?? gateUp.tensor(rows: count)
        context.linear(normalized, layer[.gateUp], into: gates)
        if let bias = layer.bias(.gateUp) { context.addBias(bias, to: gates) }
        let hidden = activated.tensor(rows: count)
        context.gatedActivation(gates, configuration.activation, into: hidden)
        return addBranch(
            of: hidden, layer[.down], bias: layer.bias(.down), norm: layer.norm(.feedForwardOutput), to: x,
            keeping: activations?.input(layer: index + 1), branch: activations?.feedForwardBranch(layer: index))
    }

    /// x + the sum of the experts that the router chooses for each row of y; in place, or into `destination`.
    private func addExperts(
        of y: Tensor, _ layer: TransformerWeights.Layer, _ rule: ExpertRule, to x: Tensor,
        keeping destination: Tensor?
    ) -> Tensor {
        precondition(
            configuration.multipliers.residual == 1 && layer.norm(.feedForwardOutput) == nil,
            "no family has experts and a residual multiplier or a norm behind them")
        let logits = routerLogits.tensor(rows: y.rows), added = branch.tensor(rows: y.rows)
        context.linear(y, layer[.router], into: logits)
        context.expertForward(y, logits: logits, experts: layer.experts, rule: rule, into: added)
        if let destination { context.convert(from: x, to: destination) }
        context.add(added, to: destination ?? x)
        return destination ?? x
    }

    /// What a block's matrices multiply: x normalised, or x where the layer has no norm before the block.
    func blockInput(_ x: Tensor, _ weight: Tensor?, into y: Tensor) -> Tensor {
        if let weight {
            context.rmsNorm(x, weight: weight, epsilon: configuration.rmsNormEpsilon, into: y)
        } else {
            context.convert(from: x, to: y)
        }
        return y
    }

    /// x + r norm(y Wᵀ + bias), in place, or into `destination` when the backward pass still needs x; r is the residual
    /// multiplier. What a norm normalises is kept in `kept`.
    private func addBranch(
        of y: Tensor, _ matrix: PackedMatrix, bias: Tensor?, norm: Tensor?, to x: Tensor,
        keeping destination: Tensor?, branch kept: @autoclosure () -> Tensor?
    ) -> Tensor {
        if let destination { context.convert(from: x, to: destination) }
        let sum = destination ?? x, multiplier = configuration.multipliers.residual
        guard norm != nil || multiplier != 1 else {
            context.linear(y, matrix, into: sum, accumulate: true)
            if let bias { context.addBias(bias, to: sum) }
            return sum
        }
        let added = (norm == nil ? nil : kept()) ?? branch.tensor(rows: x.rows)
        context.linear(y, matrix, into: added)
        if let bias { context.addBias(bias, to: added) }
        if let norm {
            precondition(multiplier == 1, "no family has both a residual multiplier and norms behind its blocks")
            context.addRMSNorm(added, weight: norm, epsilon: configuration.rmsNormEpsilon, to: sum)
        } else {
            context.add(added, times: multiplier, to: sum)
        }
        return sum
    }

    /// Calls `body` with a layer's rotary embedding and the segments that it turns: all, but where long sequences have an
    /// embedding of their own.
    private func forEachRope(
        layer: Int, _ segments: [Segment], _ body: (_ rope: RopeTable?, _ segments: [Segment]) -> Void
    ) {
        guard configuration.longRopeAbove != nil, segments.contains(where: \.isLong) else {
            return body(ropes.table(layer: layer, isLong: false), segments)
        }
        for isLong in [false, true] {
            let some = segments.filter { $0.isLong == isLong }
            if !some.isEmpty { body(ropes.table(layer: layer, isLong: isLong), some) }
        }
    }

    /// A layer's rotary embeddings with the groups of segments that each turns.
    func ropes(layer: Int, of groups: [AttentionGroup]) -> [(rope: RopeTable?, groups: [AttentionGroup])] {
        guard configuration.longRopeAbove != nil else { return [(ropes.table(layer: layer, isLong: false), groups)] }
        return [false, true].compactMap { isLong in
            let some = groups.filter { $0.nodes.first?.segment.isLong == isLong }
            return some.isEmpty ? nil : (ropes.table(layer: layer, isLong: isLong), some)
        }
    }
}
