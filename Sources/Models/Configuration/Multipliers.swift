/// Constants that a family multiplies with where others multiply with 1.
package struct Multipliers: Sendable, Equatable {
    /// What embeddings are multiplied by as they enter the first layer.
    package var embedding: Float = 1
    /// What attention's and feed-forward networks' outputs are multiplied by before the residual stream gets them.
    package var residual: Float = 1
    /// What products of queries and keys are multiplied by; nil: one over the root of the head size.
    package var attention: Float?
    /// What logits are divided by.
    package var logitDivisor: Float = 1

    package init() {}
}
