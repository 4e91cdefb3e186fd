import Distillation

extension SamplingSettings {
    /// What the head multiplies logits with; greedy sampling reports log-probabilities at temperature 1.
    var inverseTemperature: Float { temperature > 0 ? 1 / temperature : 1 }
    /// Whether tokens are drawn from the whole distribution.
    var isPlain: Bool { temperature > 0 && topP >= 1 && topK <= 0 }
}

/// One sequence to sample.
package struct SampleRequest: Sendable {
    /// The caller's name for it.
    package var id: UInt64
    package var promptIDs: [Int32]
    /// Coordinates of its random numbers: the task's seed, and the sample within the task.
    package var seed: UInt64
    package var sample: UInt32
    package var parameters: SamplingSettings
    /// The position from which its random numbers are counted.
    package var firstPosition = 0

    package init(
        id: UInt64, promptIDs: [Int32], seed: UInt64, sample: UInt32, parameters: SamplingSettings
    ) {
        self.id = id
        self.promptIDs = promptIDs
        self.seed = seed
        self.sample = sample
        self.parameters = parameters
    }
}

/// A finished sequence.
package struct CompletedSample: Sendable {
    package let id: UInt64
    /// Sampled tokens, the stop token included.
    package let ids: [Int32]
    /// Log-probability of each under the distribution it was drawn from.
    package let logprobs: [Float]
    /// Weight version each was drawn with.
    package let versions: [UInt64]
    package let finishReason: FinishReason
}

/// A token just sampled, for streaming.
package struct SampledToken: Sendable {
    package let token: Int32
    package let logprob: Float
}
