import Glibc

extension Rope {
    /// Inverse frequencies of the pairs of `columns` columns, [columns / 2], in Double.
    ///
    /// The base form is theta^(-2i/columns) (Su and others, RoFormer, 2021); what scalings make of it is said beside
    /// each. `isLong` takes the factors for sequences longer than the original context, where a scaling has some.
    package func inverseFrequencies(columns: Int, isLong: Bool = false) -> [Double] {
        let base = (0..<columns / 2).map { pow(theta, -2.0 * Double($0) / Double(columns)) }
        switch scaling {
        case .none: return base
        case .linear(let factor): return base.map { $0 / factor }
        case .llama3(let factor, let low, let high, let originalMaxPositions):
            let original = Double(originalMaxPositions)
            return base.map { frequency in
                let wavelength = 2 * Double.pi / frequency
                if wavelength > original / low { return frequency / factor }
                if wavelength < original / high { return frequency }
                let smooth = (original / wavelength - low) / (high - low)
                return (1 - smooth) * frequency / factor + smooth * frequency
            }
        case .yarn(let yarn): return yarn.blend(base, theta: theta)
        case .longRope(let long): return zip(base, isLong ? long.longFactors : long.shortFactors).map(/)
        }
    }

    /// What cosines and sines of a model with a context of `maxPositions` are multiplied with.
    package func magnitude(maxPositions: Int) -> Double {
        switch scaling {
        case .none, .linear, .llama3: 1
        case .yarn(let yarn): yarn.attentionFactor
        case .longRope(let long): long.magnitude(maxPositions: maxPositions)
        }
    }

    /// The length above which a sequence is turned by other frequencies than the others; nil where none is.
    package var longAbove: Int? {
        if case .longRope(let long) = scaling { long.originalMaxPositions } else { nil }
    }
}

extension YarnScaling {
    /// The frequencies between those kept and those divided by the factor, by a ramp over their index.
    fileprivate func blend(_ base: [Double], theta: Double) -> [Double] {
        let columns = Double(2 * base.count)
        /// Where a frequency turns so many times within the original context.
        func index(turning turns: Double) -> Double {
            columns * log(Double(originalMaxPositions) / (turns * 2 * Double.pi)) / (2 * log(theta))
        }
        var low = index(turning: betaFast), high = index(turning: betaSlow)
        if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        (low, high) = (max(low, 0), min(high, columns - 1))
        if low == high { high += 0.001 }
        return base.enumerated().map { position, frequency in
            let divided = min(max((Double(position) - low) / (high - low), 0), 1)
            return frequency / factor * divided + frequency * (1 - divided)
        }
    }
}
