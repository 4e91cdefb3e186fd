/// Constants that a family multiplies with where others multiply with 1.
package struct Multipliers: Sendable, Equatable {
    /// Of embeddings, as they enter the first layer.
    package var embedding: Float = 1
    /// Of what attention and feed-forward networks add to the residual stream.
    package var residual: Float = 1
    /// Of the products of queries and keys; nil: one over the root of the head size.
    package var attention: Float?
    /// What logits are divided by.
    package var logitDivisor: Float = 1

    package init() {}
}
