/// What one layer's queries see, and whether positions turn them.
package struct LayerKind: Sendable, Equatable {
    /// Whether a query sees only the last `slidingWindow` positions, its own included.
    package var isSliding: Bool
    /// Whether queries and keys are rotated by their positions.
    package var hasRope: Bool

    package init(isSliding: Bool = false, hasRope: Bool = true) {
        self.isSliding = isSliding
        self.hasRope = hasRope
    }

    /// The layer of most families: every position is seen, all are rotated.
    package static let plain = LayerKind()
}

/// What the gate of a feed-forward network goes through.
package enum Activation: String, Sendable {
    /// x / (1 + exp(-x)); called swish, too.
    case silu
    /// The Gaussian error linear unit in its approximation by tanh.
    case geluTanh = "gelu_pytorch_tanh"
}

/// Constants that a family multiplies with where others multiply with 1.
package struct Multipliers: Sendable, Equatable {
    /// Of embeddings, as they enter the first layer.
    package var embedding: Float = 1
    /// Whether the multiplier of embeddings is rounded to the compute type first.
    package var roundsEmbedding = false
    /// Of what attention and feed-forward networks add to the residual stream.
    package var residual: Float = 1
    /// Of the products of queries and keys; nil: one over the root of the head size.
    package var attention: Float?
    /// What logits are divided by.
    package var logitDivisor: Float = 1

    package init() {}
}

/// Experts of which each token goes through a few, in place of one feed-forward network.
package struct ExpertShape: Sendable, Equatable {
    /// Experts of a layer.
    package var count: Int
    /// Experts that a token goes through.
    package var perToken: Int
    /// Width of one expert's feed-forward network.
    package var intermediateSize: Int
    /// Whether the chosen experts' probabilities are divided by their sum.
    package var normalizesChosen: Bool
    /// Layers that have experts; the others have a plain feed-forward network.
    package var layers: Set<Int>

    package init(count: Int, perToken: Int, intermediateSize: Int, normalizesChosen: Bool, layers: Set<Int>) {
        self.count = count
        self.perToken = perToken
        self.intermediateSize = intermediateSize
        self.normalizesChosen = normalizesChosen
        self.layers = layers
    }
}
