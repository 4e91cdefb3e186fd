import Compute
import Glibc
import Models

extension ModelConfiguration {
    /// cos and sin of every position below `positions`, each [positions, rotaryDimension / 2].
    ///
    /// Angles are taken in f32 as the reference implementation does, so that long contexts agree with it.
    package func ropeTable(_ rope: Rope, positions: Int, isLong: Bool = false) -> RopeTable {
        let frequencies = rope.inverseFrequencies(columns: rotaryDimension, isLong: isLong).map { Float($0) }
        let magnitude = Float(rope.magnitude(maxPositions: maxPositions))
        var cosines = [Float](), sines = [Float]()
        cosines.reserveCapacity(positions * frequencies.count)
        sines.reserveCapacity(positions * frequencies.count)
        for position in 0..<positions {
            for frequency in frequencies {
                let angle = Double(Float(position) * frequency)
                cosines.append(Float(cos(angle)) * magnitude)
                sines.append(Float(sin(angle)) * magnitude)
            }
        }
        return RopeTable(
            cos: Tensor(floats: cosines, rows: positions, columns: frequencies.count),
            sin: Tensor(floats: sines, rows: positions, columns: frequencies.count))
    }
}
