import Compute

/// What the forward pass keeps for the backward pass, layer by layer; reused from step to step.
///
/// Kept: the residual stream before and after attention (f32), raw and rotated projections, the attention output and its
/// log-sum-exp, gate and up. Norm outputs and the activation are cheaper to compute again than to keep.
package final class Activations {
    private let inputs: [ScratchTensor]  // layers + 1 of [T, C]
    private let middles: [ScratchTensor]  // [T, C]
    private let queryKeyValues: [ScratchTensor]  // [T, (H + 2 KV) D]
    private let queries: [ScratchTensor]  // [T, H D]
    private let attendeds: [ScratchTensor]  // [T, H D]
    private let logSumExps: [ScratchTensor]  // [T, H]
    private let gateUps: [ScratchTensor]  // [T, 2 I]
    private(set) var count = 0

    package init(_ configuration: ModelConfiguration, type: ElementType) {
        let layers = configuration.layerCount
        let heads = configuration.headCount, size = configuration.headDimension
        func scratch(_ count: Int, _ columns: Int, _ type: ElementType) -> [ScratchTensor] {
            (0..<count).map { _ in ScratchTensor(columns: columns, type: type) }
        }
        inputs = scratch(layers + 1, configuration.hiddenSize, .f32)
        middles = scratch(layers, configuration.hiddenSize, .f32)
        queryKeyValues = scratch(layers, (heads + 2 * configuration.keyValueHeadCount) * size, type)
        queries = scratch(layers, heads * size, type)
        attendeds = scratch(layers, heads * size, type)
        logSumExps = scratch(layers, heads, .f32)
        gateUps = scratch(layers, 2 * configuration.intermediateSize, type)
    }

    /// Makes room for a batch of `rows` tokens; returns where its embeddings go.
    func begin(rows: Int) -> Tensor {
        count = rows
        return input(layer: 0)
    }

    func input(layer: Int) -> Tensor { inputs[layer].tensor(rows: count) }
    func middle(layer: Int) -> Tensor { middles[layer].tensor(rows: count) }
    func queryKeyValue(layer: Int) -> Tensor { queryKeyValues[layer].tensor(rows: count) }
    func query(layer: Int) -> Tensor { queries[layer].tensor(rows: count) }
    func attended(layer: Int) -> Tensor { attendeds[layer].tensor(rows: count) }
    func logSumExp(layer: Int) -> Tensor { logSumExps[layer].tensor(rows: count) }
    func gateUp(layer: Int) -> Tensor { gateUps[layer].tensor(rows: count) }

    func view(_ rows: Range<Int>) -> View { View(activations: self, rows: rows) }

    /// Some rows of everything kept.
    struct View {
        let activations: Activations
        let rows: Range<Int>

        func input(layer: Int) -> Tensor { activations.input(layer: layer).rows(rows) }
        func middle(layer: Int) -> Tensor { activations.middle(layer: layer).rows(rows) }
        func queryKeyValue(layer: Int) -> Tensor { activations.queryKeyValue(layer: layer).rows(rows) }
        func query(layer: Int) -> Tensor { activations.query(layer: layer).rows(rows) }
        func attended(layer: Int) -> Tensor { activations.attended(layer: layer).rows(rows) }
        func logSumExp(layer: Int) -> Tensor { activations.logSumExp(layer: layer).rows(rows) }
        func gateUp(layer: Int) -> Tensor { activations.gateUp(layer: layer).rows(rows) }
    }
}
