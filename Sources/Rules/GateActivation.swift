/// What a gated feed-forward network applies to its gate.
package enum GateActivation: Sendable, Equatable {
    /// g * sigmoid(g): transformers' `silu`.
    case silu
    /// g / 2 * (1 + tanh(sqrt(2 / pi) * (g + 0.044715 g³))): transformers' `gelu_pytorch_tanh` and `gelu_new`.
    case geluTanh
}
