/// How a response is sampled.
package struct SamplingSettings: Sendable, Hashable, Codable {
    /// Most tokens to sample, at least 1.
    package var maxTokens: Int
    /// 0 takes the most probable token; otherwise logits are divided by it.
    package var temperature: Float
    /// Smallest set of most probable tokens whose mass reaches this, 0 < topP <= 1; 1 is off.
    package var topP: Float
    /// This many most probable tokens; 0 is off.
    package var topK: Int
    /// Ids after one of which sampling stops; it is the response's last.
    package var stopTokenIDs: [Int32]

    package init(
        maxTokens: Int, temperature: Float = 1, topP: Float = 1, topK: Int = 0, stopTokenIDs: [Int32] = []
    ) {
        self.maxTokens = maxTokens
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.stopTokenIDs = stopTokenIDs
    }
}
