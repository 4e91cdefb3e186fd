/// What everyone says of the engine that computes a model.
package protocol Backend: Sendable {
    /// Identifies everything that maps text to ids; the learner refuses a worker whose tokenizer differs from its own.
    var tokenizerFingerprint: String { get }
    /// Equal where log-probabilities have the same bits; nil: not known. The learner warns of a member that differs.
    var arithmetic: String? { get }
    /// Whether results are functions of their arguments, to the last bit; otherwise two runs of one seed differ, and the
    /// learner says so and measures how far sampler and trainer are apart.
    var isReproducible: Bool { get }
    /// What keeps it from working at the moment, for `opd status`, such as a server that does not answer; nil: nothing.
    var trouble: String? { get }
}

extension Backend {
    package var arithmetic: String? { nil }
    package var isReproducible: Bool { true }
    package var trouble: String? { nil }
}
