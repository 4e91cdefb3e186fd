import Compute
import Glibc

extension ModelConfiguration {
    /// Inverse frequencies of the rotary embedding, [headDimension / 2], in Double.
    ///
    /// The base form is theta^(-2i/D) (Su and others, RoFormer, 2021); `llama3` stretches long wavelengths as Llama 3.1
    /// does, `linear` divides positions.
    package var inverseFrequencies: [Double] {
        let half = headDimension / 2
        let base = (0..<half).map { pow(ropeTheta, -2.0 * Double($0) / Double(headDimension)) }
        switch ropeScaling {
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
        }
    }

    /// cos and sin of every position below `positions`, each [positions, headDimension / 2].
    ///
    /// Angles are taken in f32 as the reference implementation does, so that long contexts agree with it.
    package func ropeTable(positions: Int) -> RopeTable {
        let frequencies = inverseFrequencies.map { Float($0) }
        var cosines = [Float](), sines = [Float]()
        cosines.reserveCapacity(positions * frequencies.count)
        sines.reserveCapacity(positions * frequencies.count)
        for position in 0..<positions {
            for frequency in frequencies {
                let angle = Double(Float(position) * frequency)
                cosines.append(Float(cos(angle)))
                sines.append(Float(sin(angle)))
            }
        }
        return RopeTable(
            cos: Tensor(floats: cosines, rows: positions, columns: frequencies.count),
            sin: Tensor(floats: sines, rows: positions, columns: frequencies.count))
    }
}
