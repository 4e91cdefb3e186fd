/// Given responses that are imitated beside what the student samples: their part of the loss is c times their mean
/// cross-entropy, L = (c/M) sum_i -s_i over their own M tokens, whatever number of tokens was sampled.
///
/// With sampled tokens they make the mixture of on-policy and given data of R. Agarwal and others (GKD),
/// arXiv:2306.13649, section 3, with both in every batch in place of one of them at random.
package struct GivenResponses: Sendable, Equatable {
    /// At least one.
    package let examples: [SupervisedExample]
    /// c, above 0.
    package let coefficient: Double
    /// M.
    package let tokenCount: Int

    /// Nil where there is nothing to imitate.
    package init?(_ examples: [SupervisedExample], coefficient: Double) {
        tokenCount = examples.reduce(0) { $0 + $1.responseIDs.count }
        guard coefficient > 0, tokenCount > 0 else { return nil }
        self.examples = examples
        self.coefficient = coefficient
    }

    /// dL/ds of every response token of one example; statistics are added to `statistics`.
    /// - Parameter current: s at temperature 1, one a response token.
    package func gradient(current: [Float], statistics: inout BatchStatistics) -> [Float] {
        let scale = coefficient / Double(tokenCount)
        return current.map { s in
            let token = crossEntropyLoss(logprob: Double(s))
            statistics.add(given: token, weight: scale)
            return Float(token.gradient * scale)
        }
    }
}
