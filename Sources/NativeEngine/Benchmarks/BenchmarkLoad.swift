/// What is run: sequences of `prompt` random ids and `tokens` more each, `batch` of them at a time.
package struct BenchmarkLoad: Sendable {
    package let batch: Int
    package let prompt: Int
    /// New tokens of every sequence.
    package let tokens: [Int]
    /// The longest sequence.
    package var length: Int { prompt + (tokens.max() ?? 0) }
    package var newTokens: Int { tokens.reduce(0, +) }

    package init(batch: Int, prompt: Int, tokens: [Int]) {
        self.batch = batch
        self.prompt = prompt
        self.tokens = tokens
    }

    /// 16 ... 256 in even steps, in a fixed order that mixes them.
    package static func mixedTokens(requests: Int) -> [Int] {
        (0..<requests).map { 16 + 240 * ($0 * 37 % requests) / max(requests - 1, 1) }
    }

    func ids(_ count: Int, vocabulary: Int) -> [[Int32]] {
        var random = SystemRandomNumberGenerator()
        let ids = Int32(min(3, vocabulary - 1))..<Int32(vocabulary)
        return tokens.map { _ in (0..<count).map { _ in Int32.random(in: ids, using: &random) } }
    }
}
