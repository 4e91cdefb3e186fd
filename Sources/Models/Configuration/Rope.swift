import Glibc

/// A rotary embedding: how far positions turn pairs of a head's columns.
package struct Rope: Sendable, Equatable {
    /// The base of the wavelengths.
    package var theta: Double
    package var scaling: RopeScaling

    package init(theta: Double, scaling: RopeScaling = .none) {
        self.theta = theta
        self.scaling = scaling
    }
}

/// How rotary frequencies are changed for contexts longer than the model was first trained on.
package enum RopeScaling: Sendable, Equatable {
    case none
    /// Positions divided by `factor`.
    case linear(factor: Double)
    /// Low frequencies divided by `factor`, high ones kept, a linear blend between
    /// (transformers `_compute_llama3_parameters`).
    case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalMaxPositions: Int)
    case yarn(YarnScaling)
    case longRope(LongRopeScaling)

    /// The name of the kind in config.json.
    package var name: String {
        switch self {
        case .none: "default"
        case .linear: "linear"
        case .llama3: "llama3"
        case .yarn: "yarn"
        case .longRope: "longrope"
        }
    }
}

/// Frequencies that turn seldom within the original context are divided by `factor`, those that turn often are kept, a
/// ramp over the index between; all angles' cosines and sines grow by a factor (Peng and others, "YaRN", 2023;
/// transformers `_compute_yarn_parameters`).
package struct YarnScaling: Sendable, Equatable {
    package var factor: Double
    package var originalMaxPositions: Int
    /// Turns within the original context above which a frequency is kept.
    package var betaFast = 32.0
    /// Turns below which it is divided by the whole factor.
    package var betaSlow = 1.0
    /// Whether the ramp begins and ends at whole indices.
    package var truncates = true
    /// What cosines and sines are multiplied with; the product of queries and keys grows by its square.
    package var attentionFactor: Double

    package init(
        factor: Double, originalMaxPositions: Int, betaFast: Double = 32, betaSlow: Double = 1, truncates: Bool = true,
        attentionFactor: Double? = nil
    ) {
        self.factor = factor
        self.originalMaxPositions = originalMaxPositions
        self.betaFast = betaFast
        self.betaSlow = betaSlow
        self.truncates = truncates
        self.attentionFactor = attentionFactor ?? Self.magnitude(factor: factor)
    }

    /// The attention factor for contexts `factor` times as long: 0.1 m ln(factor) + 1.
    package static func magnitude(factor: Double, multiplier: Double = 1) -> Double {
        factor <= 1 ? 1 : 0.1 * multiplier * log(factor) + 1
    }
}

/// Every frequency is divided by a factor of its own; sequences longer than the original context have another list of
/// factors than the others (Ding and others, "LongRoPE", 2024; transformers `_compute_longrope_parameters`).
package struct LongRopeScaling: Sendable, Equatable {
    /// One for each pair of columns that is turned; of sequences within the original context.
    package var shortFactors: [Double]
    /// The same of longer ones.
    package var longFactors: [Double]
    package var originalMaxPositions: Int
    /// How much longer the context is than the original one; nil: the ratio of the two.
    package var factor: Double?
    /// What cosines and sines are multiplied with; nil: it follows from the factor.
    package var attentionFactor: Double?

    package init(
        shortFactors: [Double], longFactors: [Double], originalMaxPositions: Int, factor: Double? = nil,
        attentionFactor: Double? = nil
    ) {
        self.shortFactors = shortFactors
        self.longFactors = longFactors
        self.originalMaxPositions = originalMaxPositions
        self.factor = factor
        self.attentionFactor = attentionFactor
    }

    /// What cosines and sines of a model with a context of `maxPositions` are multiplied with.
    package func magnitude(maxPositions: Int) -> Double {
        if let attentionFactor { return attentionFactor }
        let factor = factor ?? Double(maxPositions) / Double(originalMaxPositions)
        return factor <= 1 ? 1 : (1 + log(factor) / log(Double(originalMaxPositions))).squareRoot()
    }
}
