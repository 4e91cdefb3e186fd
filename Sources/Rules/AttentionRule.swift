/// What a layer's attention does beside its geometry: which keys a query sees and what becomes of its scores.
///
/// The default is plain causal attention with scores q . k / sqrt(D). A window and a cap are chosen outside of the
/// kernels' loops, so that a layer without them pays nothing.
package struct AttentionRule: Sendable, Equatable {
    /// Keys that a query at position p sees: those of the positions p - window + 1 ... p, itself included, as
    /// transformers' `sliding_window` masks. 0: all of them.
    package let window: Int
    /// Scores s become softCap * tanh(s / softCap), as Gemma 2's `attn_logit_softcapping`; 0: they stay.
    package let softCap: Float
    /// Factor of the scores q . k; nil: 1 / sqrt(D).
    package let scale: Float?

    /// - Parameters:
    ///   - window: at least 0.
    ///   - softCap: finite, at least 0.
    ///   - scale: finite and positive.
    package init(window: Int = 0, softCap: Float = 0, scale: Float? = nil) {
        precondition(window >= 0, "attention window \(window)")
        precondition(softCap >= 0 && softCap.isFinite, "attention soft cap \(softCap)")
        precondition(scale.map { $0 > 0 && $0.isFinite } ?? true, "attention scale \(scale ?? 0)")
        self.window = window
        self.softCap = softCap
        self.scale = scale
    }
}
