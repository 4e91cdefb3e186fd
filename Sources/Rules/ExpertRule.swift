/// How a row chooses its experts, and what their gates go through.
package struct ExpertRule: Sendable, Equatable {
    /// Experts that a row goes through, at least 1.
    package let perRow: Int
    /// Whether the chosen experts' probabilities are divided by their sum.
    package let normalizesChosen: Bool
    package let activation: GateActivation

    package init(perRow: Int, normalizesChosen: Bool, activation: GateActivation = .silu) {
        precondition(perRow > 0, "experts of a row: \(perRow)")
        self.perRow = perRow
        self.normalizesChosen = normalizesChosen
        self.activation = activation
    }
}
