import Glibc

/// The surrogate of the policy objective that is minimised.
///
/// All of them are functions of the importance ratio r = exp(s - b) and the advantage A, which is a constant:
/// no gradient flows through it. (Differentiating k = s - t directly has a gradient in which the teacher cancels.)
package enum Loss: Sendable, Equatable, Codable {
    /// L = -r A.
    case importanceSampling
    /// L = -min(r A, clip(r, 1 - low, 1 + high) A): Schulman and others, arXiv:1707.06347, equation 7.
    case ppoClip(low: Double, high: Double)
    /// dL/ds = -min(r, bound) A: the ratio's weight is truncated; Ionides, 2008, as used by IMPALA, arXiv:1802.01561.
    ///
    /// The bound is at least 1.
    case truncated(bound: Double)

    /// Loss and gradient of one token, before the division by the batch's number of tokens.
    package func token(ratio: Double, advantage: Double) -> TokenLoss {
        switch self {
        case .importanceSampling: importanceSamplingLoss(ratio: ratio, advantage: advantage)
        case .ppoClip(let low, let high): ppoClipLoss(ratio: ratio, advantage: advantage, low: low, high: high)
        case .truncated(let bound): truncatedImportanceSamplingLoss(ratio: ratio, advantage: advantage, bound: bound)
        }
    }
}

/// The name of a surrogate, as the configuration gives it beside the parameters of ``Loss``.
package enum LossKind: String, Sendable, CaseIterable {
    case importanceSampling = "importance_sampling"
    case ppoClip = "ppo_clip"
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
