import Distillation
import Glibc

extension TokenChoice {
    /// A choice among all tokens but some, by which a response is kept from ending too early.
    /// - Parameters:
    ///   - excluded: ids that are not drawn; at least one token is left.
    ///   - logits: [V].
    ///   - logSumExp: of the whole row.
    ///   - uniform: the draw, in [0, 1).
    /// - Returns: the token and its log-probability: with `topP` 1 and `topK` 0 that among all tokens, which a trainer
    ///   finds again, otherwise that under the distribution it was drawn from.
    static func choose(
        excluding excluded: [Int32], logits: UnsafeBufferPointer<Float>, logSumExp: Float,
        parameters: SamplingSettings, uniform: Double
    ) -> (token: Int32, logprob: Float) {
        var left = Array(logits)
        for id in excluded where left.indices.contains(Int(id)) { left[Int(id)] = -.infinity }
        return left.withUnsafeBufferPointer { left in
            guard parameters.isPlain else {
                return choose(logits: left, logSumExp: logSumExp, parameters: parameters, uniform: uniform)
            }
            let token = drawn(left, uniform: uniform)
            return (Int32(token), logits[token] - logSumExp)
        }
    }

    /// Draws from the softmax of a row, in the order of ids.
    private static func drawn(_ logits: UnsafeBufferPointer<Float>, uniform: Double) -> Int {
        let maximum = Double(logits.max() ?? 0)
        var remaining = uniform * logits.reduce(0.0) { $0 + exp(Double($1) - maximum) }
        var last = 0
        for (index, logit) in logits.enumerated() where logit > -.infinity {
            last = index
            remaining -= exp(Double(logit) - maximum)
            if remaining < 0 { break }
        }
        return last
    }
}
