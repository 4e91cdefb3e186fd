/// What becomes of the head's products before the temperature: z = softCap * tanh(logitScale * x Wᵀ / softCap).
package struct HeadRule: Sendable, Equatable {
    /// Factor of the logits: 1 / `logits_scaling` for Granite.
    package let logitScale: Float
    /// The cap of Gemma 2's `final_logit_softcapping`; 0: none.
    package let softCap: Float

    /// - Parameters:
    ///   - logitScale: finite and positive.
    ///   - softCap: finite, at least 0.
    package init(logitScale: Float = 1, softCap: Float = 0) {
        precondition(logitScale > 0 && logitScale.isFinite, "logit scale \(logitScale)")
        precondition(softCap >= 0 && softCap.isFinite, "logit soft cap \(softCap)")
        self.logitScale = logitScale
        self.softCap = softCap
    }

    /// What a row's logits are multiplied with beside the cap: without one, the logit scale as well.
    package func scales(_ inverseTemperature: [Float]) -> [Float] {
        softCap > 0 || logitScale == 1 ? inverseTemperature : inverseTemperature.map { $0 * logitScale }
    }
}
