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

extension ModelConfiguration {
    /// Whether a layer has experts in place of one feed-forward network.
    package func hasExperts(layer: Int) -> Bool { experts?.layers.contains(layer) == true }
}
