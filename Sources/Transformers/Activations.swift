import Compute
import Models
import Rules

/// What the forward pass keeps for the backward pass, layer by layer; reused from step to step.
///
/// Kept: the residual stream before and after attention (f32), raw and rotated projections, the attention output and its
/// log-sum-exp, gate and up, and what norms behind attention and feed-forward network normalise (f32). Norm outputs and
/// the activation are cheaper to compute again than to keep.
package final class Activations {
    private let layers: Int
    // One block for all layers each: many small ones would waste the rest of a large page each.
    private let inputs: ScratchTensor  // layers + 1 of [T, C]
    private let middles: ScratchTensor  // [T, C]
    private let queryKeyValues: ScratchTensor  // [T, (H + 2 KV) D]
    private let queries: ScratchTensor  // [T, H D]
    private let attendeds: ScratchTensor  // [T, H D]
    private let logSumExps: ScratchTensor  // [T, H]
    private let gateUps: ScratchTensor  // [T, 2 I]
    private let attentionBranches: ScratchTensor  // [T, C], where a norm follows
    private let feedForwardBranches: ScratchTensor  // [T, C], where a norm follows
    private(set) var count = 0

    package init(_ configuration: ModelConfiguration, type: ElementType) {
        layers = configuration.layerCount
        let heads = configuration.headCount, size = configuration.headDimension
        inputs = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
        middles = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
        queryKeyValues = ScratchTensor(columns: (heads + 2 * configuration.keyValueHeadCount) * size, type: type)
        queries = ScratchTensor(columns: heads * size, type: type)
        attendeds = ScratchTensor(columns: heads * size, type: type)
        logSumExps = ScratchTensor(columns: heads, type: .f32)
        gateUps = ScratchTensor(columns: 2 * configuration.intermediateSize, type: type)
        attentionBranches = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
        feedForwardBranches = ScratchTensor(columns: configuration.hiddenSize, type: .f32)
    }

    /// Makes room for a batch of `rows` tokens; returns where its embeddings go.
    func begin(rows: Int) -> Tensor {
        count = rows
        return input(layer: 0)
    }

    func input(layer: Int) -> Tensor { part(layer, of: layers + 1, inputs) }
    func middle(layer: Int) -> Tensor { part(layer, of: layers, middles) }
    func queryKeyValue(layer: Int) -> Tensor { part(layer, of: layers, queryKeyValues) }
    func query(layer: Int) -> Tensor { part(layer, of: layers, queries) }
    func attended(layer: Int) -> Tensor { part(layer, of: layers, attendeds) }
    func logSumExp(layer: Int) -> Tensor { part(layer, of: layers, logSumExps) }
    func gateUp(layer: Int) -> Tensor { part(layer, of: layers, gateUps) }
    func attentionBranch(layer: Int) -> Tensor { part(layer, of: layers, attentionBranches) }
    func feedForwardBranch(layer: Int) -> Tensor { part(layer, of: layers, feedForwardBranches) }

    private func part(_ layer: Int, of parts: Int, _ block: ScratchTensor) -> Tensor {
        block.tensor(rows: parts * count).rows(layer * count..<(layer + 1) * count)
    }

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
        func attentionBranch(layer: Int) -> Tensor { activations.attentionBranch(layer: layer).rows(rows) }
        func feedForwardBranch(layer: Int) -> Tensor { activations.feedForwardBranch(layer: layer).rows(rows) }
    }
}
