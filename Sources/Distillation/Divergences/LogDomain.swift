import Glibc

/// log sum_i exp(x_i), by way of the largest, so that nothing overflows; -inf for no values and where all are -inf.
package func logSumExp(_ values: some Collection<Double>) -> Double {
    let largest = values.max() ?? -.infinity
    guard largest.isFinite else { return largest }
    return largest + log(values.reduce(0) { $0 + exp($1 - largest) })
}

/// exp of a log-probability.
package func probability(_ logprob: Double) -> Double { exp(logprob) }

/// Log-probabilities of softmax(z): z_i - log sum_j exp(z_j).
/// - Parameter logits: z, at least one of them finite; -inf is a token without probability.
package func logSoftmax(_ logits: [Double]) -> [Double] {
    let normaliser = logSumExp(logits)
    return logits.map { $0 - normaliser }
}

/// log(a e^x + 1 - a): how far the mixture a q + (1 - a) p is above p, in nats, where x = log q - log p.
///
/// It is exactly 0 at x = 0, has all its digits around it, is log(1 - a) at x = -inf, and overflows at no end.
/// - Parameter share: a, above 0 and at most 1; with 1 it is x itself.
package func logMixture(share a: Double, of x: Double) -> Double {
    guard a < 1 else { return x }
    // e^x itself runs over beyond 709.
    return x < 500 ? log1p(a * expm1(x)) : x + log(a + (1 - a) * exp(-x))
}
