import Compute
import Models
import Rules

/// The roof under which a measurement stands: no more tokens a second than matrix products and reading the weights allow.
///
/// Attention, norms and everything else count as free, so the roof is not quite reachable.
package struct ThroughputLimit {
    /// Multiplications and additions a second of a product with packed weights, on the threads of the run.
    package let matmulRate: Double
    /// Bytes a second of reading.
    package let bandwidth: Double
    private let layerWeights: Double
    private let headWeights: Double
    private let bytesPerWeight: Double

    init(_ configuration: ModelConfiguration, type: ElementType, context: ComputeContext) {
        matmulRate = MachineLimits.matmulRate(context: context, type: type)
        bandwidth = MachineLimits.memoryBandwidth(threads: context.team.threads)
        headWeights = Double(configuration.vocabularySize * configuration.hiddenSize)
        let matrices = configuration.parameters.filter { $0.isMatrix }.reduce(0) { $0 + $1.count }
        layerWeights = Double(matrices) - headWeights * (configuration.tiedEmbeddings ? 1 : 2)
        bytesPerWeight = Double(type.byteCount)
    }

    /// New tokens a second: the prompts through the layers, then a token of every sequence at a time through layers
    /// and head, which reads every weight once.
    package func generate(batch: Int, prompt: Int, tokens: Int) -> Double {
        let batch = Double(batch)
        let prefill = 2 * layerWeights * batch * Double(prompt) / matmulRate
        let step = max(
            2 * (layerWeights + headWeights) * batch / matmulRate,
            (layerWeights + headWeights) * bytesPerWeight / bandwidth)
        return batch * Double(tokens) / (prefill + step * Double(tokens))
    }

    /// Tokens a second of a forward pass with a log-probability of every token.
    package var score: Double { matmulRate / (2 * (layerWeights + headWeights)) }

    /// Tokens a second of forward and backward pass: three products for every one of the forward pass.
    package var train: Double { score / 3 }
}
