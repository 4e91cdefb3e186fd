import Glibc

/// Which surrogate of the policy objective is minimised.
///
/// All three are functions of the importance ratio r = exp(s - b) and the advantage A, which is a constant:
/// no gradient flows through it. (Differentiating k = s - t directly has a gradient in which the teacher cancels.)
package enum LossKind: String, Sendable, Codable, CaseIterable {
    /// L = -r A.
    case importanceSampling = "importance_sampling"
    /// L = -min(r A, clip(r, 1 - low, 1 + high) A): Schulman and others, arXiv:1707.06347, equation 7.
    case ppoClip = "ppo_clip"
    /// dL/ds = -min(r, c) A: the ratio's weight is truncated at c; Ionides, 2008, as used by IMPALA, arXiv:1802.01561.
    case truncatedImportanceSampling = "truncated_importance_sampling"
}

/// A token's loss and its derivative, before the division by the batch's number of tokens.
package struct TokenLoss: Sendable, Equatable {
    /// L of this token.
    package var value: Double
    /// dL/ds, s being the token's log-probability under the weights that are trained.
    package var gradient: Double
    /// Whether the bound of the surrogate changed value or gradient.
    package var clipped: Bool

    package init(value: Double, gradient: Double, clipped: Bool = false) {
        self.value = value
        self.gradient = gradient
        self.clipped = clipped
    }
}

/// r = exp(s - b), the importance ratio. Exactly 1 for identical log-probabilities.
package func importanceRatio(current: Float, behaviour: Float) -> Double {
    exp(Double(current) - Double(behaviour))
}

/// L = -r A, dL/ds = -r A.
package func importanceSamplingLoss(ratio r: Double, advantage a: Double) -> TokenLoss {
    TokenLoss(value: -r * a, gradient: -r * a)
}

/// L = -min(r A, clip(r, 1 - low, 1 + high) A); dL/ds = -r A while the unclipped term is the smaller, else 0.
package func ppoClipLoss(ratio r: Double, advantage a: Double, low: Double, high: Double) -> TokenLoss {
    let bounded = min(max(r, 1 - low), 1 + high)
    guard bounded * a < r * a else { return importanceSamplingLoss(ratio: r, advantage: a) }
    return TokenLoss(value: -bounded * a, gradient: 0, clipped: true)
}

/// dL/ds = -min(r, c) A; L = -r A up to the bound, and -c (1 + ln(r / c)) A beyond it.
///
/// The weight min(r, c) is a constant (stopgrad) and the gradient that of -min(r, c) A s; the value is the
/// continuous function of s with exactly this derivative, so that it can be compared across tokens and checked by
/// finite differences.
package func truncatedImportanceSamplingLoss(ratio r: Double, advantage a: Double, bound c: Double) -> TokenLoss {
    guard r > c else { return importanceSamplingLoss(ratio: r, advantage: a) }
    return TokenLoss(value: -c * (1 + log(r / c)) * a, gradient: -c * a, clipped: true)
}
