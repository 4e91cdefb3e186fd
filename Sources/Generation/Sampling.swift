/// How tokens are drawn.
public struct SamplingParameters: Sendable, Codable, Equatable {
    /// Most tokens to sample, at least 1.
    public var maxTokens: Int
    /// 0 takes the most probable token; otherwise logits are divided by it.
    public var temperature: Float
    /// Smallest set of most probable tokens whose mass reaches this, 0 < topP <= 1; 1 is off.
    public var topP: Float
    /// This many most probable tokens; 0 is off.
    public var topK: Int
    /// Sampling stops after one of these; it is part of the sample.
    public var stopTokenIDs: [Int32]

    public init(
        maxTokens: Int, temperature: Float = 1, topP: Float = 1, topK: Int = 0, stopTokenIDs: [Int32] = []
    ) {
        self.maxTokens = maxTokens
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.stopTokenIDs = stopTokenIDs
    }

    /// What the head multiplies logits with; greedy sampling reports log-probabilities at temperature 1.
    var inverseTemperature: Float { temperature > 0 ? 1 / temperature : 1 }
    /// Drawn from the whole distribution.
    var isPlain: Bool { temperature > 0 && topP >= 1 && topK <= 0 }
}

/// One sequence to sample.
public struct SampleRequest: Sendable {
    /// The caller's name for it.
    public var id: UInt64
    public var promptIDs: [Int32]
    /// Coordinates of its random numbers: run seed, task, sample within the task.
    public var seed: UInt64
    public var stream: UInt64
    public var sample: UInt32
    public var parameters: SamplingParameters

    public init(
        id: UInt64, promptIDs: [Int32], seed: UInt64, stream: UInt64, sample: UInt32, parameters: SamplingParameters
    ) {
        self.id = id
        self.promptIDs = promptIDs
        self.seed = seed
        self.stream = stream
        self.sample = sample
        self.parameters = parameters
    }
}

/// A finished sequence.
public struct CompletedSample: Sendable {
    public enum FinishReason: String, Sendable { case stop, length }

    public let id: UInt64
    /// Sampled tokens, the stop token included.
    public let ids: [Int32]
    /// Log-probability of each under the distribution it was drawn from.
    public let logprobs: [Float]
    /// Weight version each was drawn with.
    public let versions: [UInt64]
    public let finishReason: FinishReason
}

/// A token just sampled, for streaming.
public struct SampledToken: Sendable {
    public let requestID: UInt64
    public let token: Int32
    public let logprob: Float
}
