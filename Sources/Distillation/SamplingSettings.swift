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
    /// Texts that end a response: the token that completes one in the response's text is the last.
    package var stop: [String]
    /// The first tokens of a response that end nothing: no stop token is drawn for them, and stop texts that they complete
    /// do not count. Log-probabilities stay those among all tokens.
    package var minTokens: Int

    package init(
        maxTokens: Int, temperature: Float = 1, topP: Float = 1, topK: Int = 0, stopTokenIDs: [Int32] = [],
        stop: [String] = [], minTokens: Int = 0
    ) {
        self.maxTokens = maxTokens
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.stopTokenIDs = stopTokenIDs
        self.stop = stop
        self.minTokens = minTokens
    }

    /// The same for a response that has no more than this room, in tokens.
    package func clipped(to room: Int) -> SamplingSettings {
        var clipped = self
        clipped.maxTokens = min(maxTokens, room)
        return clipped
    }

    /// The newest revision of these settings that this code heeds: 1 has stop texts and `minTokens`.
    package static let newestRevision: UInt32 = 1
    /// The oldest revision that samples as these settings say.
    package var revision: UInt32 { stop.isEmpty && minTokens == 0 ? 0 : 1 }
}
