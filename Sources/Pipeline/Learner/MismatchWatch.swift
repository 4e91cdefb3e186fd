/// Warns when what samples and what trains disagree on the log-probabilities of tokens that both computed with the same
/// weights.
///
/// Importance ratios make up for small differences; large ones are a fault of one of the two, such as other weights,
/// another tokenizer or another temperature.
package struct MismatchWatch: Sendable {
    /// Mean of |s - b|, in nats, above which there is a warning. Engines that round bf16 otherwise differ by a few
    /// thousandths.
    package static let bound = 0.05

    /// The mean of which was warned last.
    private var reported = bound

    package init() {}

    /// What to say of a step's mean; nil: nothing, since it is small, or not twice what was reported already.
    package mutating func warning(step: UInt64, mean: Double?, largest: Double?) -> String? {
        guard let mean, mean > reported else { return nil }
        reported = 2 * mean
        let largest = largest.map { ", up to \(Self.text($0))" } ?? ""
        return "step \(step): sampler and trainer differ by \(Self.text(mean)) nats a token\(largest), with the same "
            + "weights; above \(Self.bound) ratios hardly make up for it: check that both engines have the same model, "
            + "dtype and sampling settings"
    }

    private static func text(_ value: Double) -> String { "\((value * 1e4).rounded() / 1e4)" }
}
