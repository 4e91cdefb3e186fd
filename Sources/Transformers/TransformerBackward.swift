import Compute
import Models
import Rules

/// The transformer's backward pass: gradients of the parameters from the gradient of the last residual stream.
///
/// Writes `gradients`, or adds to them; every sum has one fixed order, so the bits do not depend on threads.
package final class TransformerBackward {
    private let model: Transformer
    let transposed: TransposedWeights
    private let gradients: ParameterBuffer
    /// Takes the gradients of matrices where adapters alone are trained; nothing else has any then. Nil elsewhere.
    let adapters: AdapterBackward?
    /// Gradients that a pass adds to piece by piece; the others are products, which it writes whole.
    private let summed: [Tensor]
    private let frozen = ScratchTensor(columns: 1)  // what is written of gradients that nobody wants
    private var context: ComputeContext { model.context }
    private var configuration: ModelConfiguration { model.configuration }

    private let typed: ScratchTensor  // dx in the compute type, [T, C]
    private let normed: ScratchTensor  // recomputed norm outputs, [T, C]
    private let normGradient: ScratchTensor  // [T, C]
    private let branchGradient: ScratchTensor  // of what a block adds, where it is not added at once, [T, C]
    private let hidden: ScratchTensor  // recomputed activation, [T, I]
    private let hiddenGradient: ScratchTensor  // [T, I]
    private let gateUpGradient: ScratchTensor  // [T, 2 I]
    private let attendedGradient: ScratchTensor  // [T, H D]
    private let queryKeyValueGradient: ScratchTensor  // [T, (H + 2 KV) D]
    private let routerLogits: ScratchTensor  // [T, E]
    private let routerGradient: ScratchTensor  // [T, E]
    private let typedRouterGradient: ScratchTensor  // the same in the compute type
    private let stream: ScratchTensor  // [T, C]
    private let selected: ScratchTensor  // rows with a loss, [R, C]
    private let selectedGradient: ScratchTensor  // [R, C]
    private let selectedInputGradient: ScratchTensor  // [R, C]

    /// - Parameters:
    ///   - parameters: packed, not kept.
    ///   - gradients: f32, in the layout of the parameters, or of `adapters` when these alone are trained.
    package init(
        model: Transformer, parameters: ParameterBuffer, gradients: ParameterBuffer, adapters: Adapters? = nil
    ) {
        self.model = model
        self.gradients = gradients
        self.adapters = adapters.map { AdapterBackward($0, gradients: gradients, context: model.context) }
        let configuration = model.configuration, schema = configuration.schema
        summed =
            adapters != nil
            ? []
            : gradients.layout.entries.filter { entry in
                entry.spec.shape.count == 1
                    || entry.spec.name == schema.embedding.weight && !configuration.tiedEmbeddings
            }.map(gradients.tensor)
        transposed = TransposedWeights(
            parameters, configuration: configuration, type: model.type, context: model.context)
        let hiddenSize = configuration.hiddenSize, intermediate = configuration.intermediateSize
        let queryWidth = configuration.headCount * configuration.headDimension
        let keyValueWidth = configuration.keyValueHeadCount * configuration.headDimension
        typed = ScratchTensor(columns: hiddenSize, type: model.type)
        normed = ScratchTensor(columns: hiddenSize, type: model.type)
        normGradient = ScratchTensor(columns: hiddenSize, type: .f32)
        branchGradient = ScratchTensor(columns: hiddenSize, type: .f32)
        hidden = ScratchTensor(columns: intermediate, type: model.type)
        hiddenGradient = ScratchTensor(columns: intermediate, type: model.type)
        gateUpGradient = ScratchTensor(columns: 2 * intermediate, type: model.type)
        attendedGradient = ScratchTensor(columns: queryWidth, type: model.type)
        queryKeyValueGradient = ScratchTensor(columns: queryWidth + 2 * keyValueWidth, type: model.type)
        let experts = max(1, configuration.size(.experts))
        routerLogits = ScratchTensor(columns: experts, type: .f32)
        routerGradient = ScratchTensor(columns: experts, type: .f32)
        typedRouterGradient = ScratchTensor(columns: experts, type: model.type)
        stream = ScratchTensor(columns: hiddenSize, type: .f32)
        selected = ScratchTensor(columns: hiddenSize, type: .f32)
        selectedGradient = ScratchTensor(columns: hiddenSize, type: .f32)
        selectedInputGradient = ScratchTensor(columns: hiddenSize, type: .f32)
    }

    /// Follows new master weights.
    package func update(from parameters: ParameterBuffer) { transposed.update(from: parameters, context: context) }

    /// Back-propagates through the head, for some of a batch's head rows; ``run(_:activations:accumulate:)`` goes on
    /// from there once all had their turn.
    /// - Parameters:
    ///   - part: R head rows of the batch.
    ///   - headInput: what `Transformer.headInput` gave for them.
    ///   - inverseTemperature, logSumExp, coefficient: [R]; coefficient is dL/d(log-probability of the target).
    ///   - logits: [R,V] as `headLogprobs` kept them; nil: computed again.
    ///   - classes: of the rows, which are pulled too; nil: none.
    ///   - comparison: of the rows with a teacher's; nil: none. It takes kept logits.
    ///   - accumulate: whether the gradient is added to what is there.
    package func runHead(
        _ batch: SharedPrefixBatch, part: Range<Int>, headInput: Tensor, inverseTemperature: [Float],
        logSumExp: [Float], coefficient: [Float], logits: Tensor?, classes: HeadClassGradient? = nil,
        comparison: HeadComparison? = nil, accumulate: Bool
    ) {
        context.headBackward(
            headInput, head: model.weights.head, transposed: transposed.head, rule: model.headRule,
            targets: Array(batch.targets[part]), inverseTemperature: inverseTemperature, lse: logSumExp,
            coefficient: coefficient, kept: logits, classes: classes, comparison: comparison,
            dx: selectedGradient.tensor(rows: batch.headRows.count).rows(part),
            dW: gradients.tensor(configuration.headName), accumulate: accumulate)
    }

    /// Back-propagates through all layers what ``runHead`` wrote.
    /// - Parameter accumulate: whether the gradients are added to what is there.
    package func run(_ batch: SharedPrefixBatch, activations: Activations, accumulate: Bool) {
        if !accumulate { summed.forEach(context.zero) }
        let rows = batch.headRows
        let dx = stream.tensor(rows: batch.rowCount)
        dx.fill(0)
        let dSelected = selectedGradient.tensor(rows: rows.count)
        let last = activations.input(layer: configuration.layerCount)
        let gathered = selected.tensor(rows: rows.count)
        context.embed(ids: rows, table: last, into: gathered)
        let dGathered = selectedInputGradient.tensor(rows: rows.count)
        dGathered.fill(0)
        context.rmsNormBackward(
            dy: dSelected, x: gathered, weight: model.weights.finalNorm, epsilon: configuration.rmsNormEpsilon,
            dx: dGathered, dWeight: vectorGradient([configuration.schema.finalNorm.weight]))
        context.embedBackward(ids: rows, dx: dGathered, into: dx)

        for index in stride(from: configuration.layerCount - 1, through: 0, by: -1) {
            feedForward(index, activations, dx: dx, accumulate: accumulate)
            attention(index, batch, activations, dx: dx, accumulate: accumulate)
        }
        if let embeddingGradient = gradients.tensor(configuration.schema.embedding.weight) {
            if model.embeddingScale != 1 { context.scale(dx, by: model.embeddingScale) }
            context.embedBackward(ids: batch.ids, dx: dx, into: embeddingGradient)
        }
    }

    private func feedForward(_ index: Int, _ activations: Activations, dx: Tensor, accumulate: Bool) {
        let layer = model.weights.layers[index], names = configuration.schema.names(layer: index), count = dx.rows
        if let rule = configuration.expertRule, !layer.experts.isEmpty {
            return experts(index, rule, activations, dx: dx, accumulate: accumulate)
        }
        let gateUp = activations.gateUp(layer: index), middle = activations.middle(layer: index)
        let dy = gradientOfBranch(
            dx, layer.norm(.feedForwardOutput), names.weight(.feedForwardOutput),
            branch: activations.feedForwardBranch(layer: index))
        let h = hidden.tensor(rows: count)
        context.gatedActivation(gateUp, configuration.activation, into: h)
        weightGradient(.down, names, dy: dy, x: h, accumulate)
        accumulateBias(dy, into: gradients.fused(names.biases(.down)))
        let dh = hiddenGradient.tensor(rows: count)
        context.linear(dy, transposed.layers[index][.down]!, into: dh)
        let dGateUp = gateUpGradient.tensor(rows: count)
        context.gatedActivationBackward(dh: dh, gateUp: gateUp, configuration.activation, into: dGateUp)
        let normalized = model.blockInput(middle, layer.norm(.feedForwardInput), into: normed.tensor(rows: count))
        weightGradient(.gateUp, names, dy: dGateUp, x: normalized, accumulate)
        accumulateBias(dGateUp, into: gradients.fused(names.biases(.gateUp)))
        let dNormed = normGradient.tensor(rows: count)
        context.linear(dGateUp, transposed.layers[index][.gateUp]!, into: dNormed)
        addGradientOfInput(dNormed, middle, layer.norm(.feedForwardInput), names.weight(.feedForwardInput), to: dx)
    }

    /// Routes again, by the same bits, what the forward pass routed stage by stage.
    private func experts(
        _ index: Int, _ rule: ExpertRule, _ activations: Activations, dx: Tensor, accumulate: Bool
    ) {
        let layer = model.weights.layers[index], names = configuration.schema.names(layer: index), count = dx.rows
        let middle = activations.middle(layer: index)
        let normalized = model.blockInput(middle, layer.norm(.feedForwardInput), into: normed.tensor(rows: count))
        let logits = routerLogits.tensor(rows: count), dLogits = routerGradient.tensor(rows: count)
        context.linear(normalized, layer[.router], into: logits)
        let dNormed = normGradient.tensor(rows: count)
        context.expertBackward(
            dy: dx, x: normalized, logits: logits, experts: layer.experts, transposed: transposed.experts[index],
            rule: rule, dx: dNormed, dLogits: dLogits, accumulate: accumulate,
            gradients: { expert in
                let names = names.expert(expert)
                guard let gateUp = gradients.fused(names.gateUp), let down = gradients.fused(names.down) else {
                    return nil
                }
                return (gateUp, down)
            })
        let typed = typedRouterGradient.tensor(rows: count)
        context.convert(from: dLogits, to: typed)
        weightGradient(.router, names, dy: typed, x: normalized, accumulate)
        context.linear(typed, transposed.layers[index][.router]!, into: dNormed, accumulate: true)
        addGradientOfInput(dNormed, middle, layer.norm(.feedForwardInput), names.weight(.feedForwardInput), to: dx)
    }

    private func attention(
        _ index: Int, _ batch: SharedPrefixBatch, _ activations: Activations, dx: Tensor, accumulate: Bool
    ) {
        let layer = model.weights.layers[index], names = configuration.schema.names(layer: index), count = dx.rows
        let input = activations.input(layer: index), attended = activations.attended(layer: index)
        let dy = gradientOfBranch(
            dx, layer.norm(.attentionOutput), names.weight(.attentionOutput),
            branch: activations.attentionBranch(layer: index))
        weightGradient(.output, names, dy: dy, x: attended, accumulate)
        accumulateBias(dy, into: gradients.fused(names.biases(.output)))
        let dAttended = attendedGradient.tensor(rows: count)
        context.linear(dy, transposed.layers[index][.output]!, into: dAttended)
        let dQKV = queryKeyValueGradient.tensor(rows: count)
        for (rope, groups) in model.ropes(layer: index, of: batch.groups) {
            context.attentionBackward(
                dOut: dAttended, out: attended, logSumExp: activations.logSumExp(layer: index),
                qkv: activations.queryKeyValue(layer: index), q: activations.query(layer: index), shape: model.shape,
                qNorm: layer.norm(.query), kNorm: layer.norm(.key), epsilon: configuration.rmsNormEpsilon, rope: rope,
                rule: model.rules[index], groups: groups, layer: index, pool: model.pool, into: dQKV,
                dQNorm: gradients.fused(names.weight(.query)), dKNorm: gradients.fused(names.weight(.key)))
        }
        let normalized = model.blockInput(input, layer.norm(.attentionInput), into: normed.tensor(rows: count))
        weightGradient(.queryKeyValue, names, dy: dQKV, x: normalized, accumulate)
        accumulateBias(dQKV, into: gradients.fused(names.biases(.queryKeyValue)))
        let dNormed = normGradient.tensor(rows: count)
        context.linear(dQKV, transposed.layers[index][.queryKeyValue]!, into: dNormed)
        addGradientOfInput(dNormed, input, layer.norm(.attentionInput), names.weight(.attentionInput), to: dx)
    }

    /// The gradient of what a block's last matrix gives, in the compute type, from that of the residual stream behind it.
    /// - Parameter branch: what the norm behind the block normalised.
    private func gradientOfBranch(
        _ dx: Tensor, _ norm: Tensor?, _ name: [String], branch: @autoclosure () -> Tensor
    ) -> Tensor {
        let dy = typed.tensor(rows: dx.rows), multiplier = configuration.multipliers.residual
        guard norm != nil || multiplier != 1 else {
            context.convert(from: dx, to: dy)
            return dy
        }
        let gradient = branchGradient.tensor(rows: dx.rows)
        if let norm {
            context.zero(gradient)
            context.rmsNormBackward(
                dy: dx, x: branch(), weight: norm, epsilon: configuration.rmsNormEpsilon, dx: gradient,
                dWeight: vectorGradient(name))
        } else {
            context.convert(from: dx, to: gradient)
            context.scale(gradient, by: multiplier)
        }
        context.convert(from: gradient, to: dy)
        return dy
    }

    /// Adds to the residual stream's gradient that of x, from the gradient of what a block's first matrix multiplied.
    private func addGradientOfInput(_ dNormed: Tensor, _ x: Tensor, _ norm: Tensor?, _ name: [String], to dx: Tensor) {
        if let norm {
            context.rmsNormBackward(
                dy: dNormed, x: x, weight: norm, epsilon: configuration.rmsNormEpsilon, dx: dx,
                dWeight: vectorGradient(name))
        } else {
            context.add(dNormed, to: dx)
        }
    }

    private func weightGradient(
        _ group: MatrixGroup, _ names: LayerNames, dy: Tensor, x: Tensor, _ accumulate: Bool
    ) {
        let names = names.weights(group)
        if let adapters {
            adapters.run(names, dy: dy, x: x, accumulate: accumulate)
        } else {
            context.weightGradient(dy: dy, x: x, into: gradients.fused(names)!, accumulate: accumulate)
        }
    }

    /// Where the gradient of a norm's weight goes: [1, C].
    private func vectorGradient(_ names: [String]) -> Tensor {
        gradients.fused(names)
            ?? frozen.tensor(rows: configuration.hiddenSize).reshaped(rows: 1, columns: configuration.hiddenSize)
    }

    private func accumulateBias(_ dy: Tensor, into gradient: Tensor?) {
        if let gradient { context.accumulateColumnSums(dy, into: gradient) }
    }
}
