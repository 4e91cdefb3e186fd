import Distillation
import Glibc

/// Greedy and truncated choices from a row of logits that are already divided by the temperature; plain draws are
/// `ComputeContext.sampleTokens`.
package enum TokenChoice {
    /// - Parameters:
    ///   - logits: [V].
    ///   - logSumExp: of the row.
    ///   - uniform: the draw, in [0, 1).
    /// - Returns: the token and its log-probability under the distribution it was drawn from.
    package static func choose(
        logits: UnsafeBufferPointer<Float>, logSumExp: Float, parameters: SamplingSettings, uniform: Double
    ) -> (token: Int32, logprob: Float) {
        if parameters.temperature == 0 {
            let best = mostProbable(logits)
            return (Int32(best), logits[best] - logSumExp)
        }
        return truncated(logits, parameters: parameters, uniform: uniform)
    }

    /// The largest logit's index, the lowest of equals.
    private static func mostProbable(_ logits: UnsafeBufferPointer<Float>) -> Int {
        var best = 0
        for index in 1..<logits.count where logits[index] > logits[best] { best = index }
        return best
    }

    /// Top-k, then top-p among what is left (Holtzman and others, 2020), renormalised.
    private static func truncated(
        _ logits: UnsafeBufferPointer<Float>, parameters: SamplingSettings, uniform: Double
    ) -> (token: Int32, logprob: Float) {
        let order = logits.indices.sorted { logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1 }
        let kept = parameters.topK > 0 ? order.prefix(parameters.topK) : order[...]
        let maximum = Double(logits[kept.first!])
        let weights = kept.map { exp(Double(logits[$0]) - maximum) }
        var count = weights.count
        if parameters.topP < 1 {
            let limit = Double(parameters.topP) * weights.reduce(0, +)
            var mass = 0.0
            count =
                (weights.firstIndex { weight in
                    mass += weight; return mass >= limit
                } ?? count - 1) + 1
        }
        let total = weights[..<count].reduce(0, +)
        var remaining = uniform * total
        var choice = count - 1
        for index in 0..<count {
            remaining -= weights[index]
            if remaining < 0 { choice = index; break }
        }
        let token = kept[kept.startIndex + choice]
        return (Int32(token), Float(Double(logits[token]) - maximum - log(total)))
    }
}
