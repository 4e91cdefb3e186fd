/// Random bits that are the same on every machine: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
package struct SplitMix64: Sendable {
    private var state: UInt64

    /// Begins a stream of its own: streams of one seed have nothing in common.
    package init(seed: UInt64, stream: UInt64) {
        state = seed &* Self.increment ^ (stream &+ 1) &* 0xD1B5_4A32_D192_ED03
        for _ in 0..<2 { _ = bits() }
    }

    /// 2^64 divided by the golden ratio, by which the state grows.
    package static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// The finaliser: every bit of the result depends on every bit of the value.
    package static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    private mutating func bits() -> UInt64 {
        state &+= Self.increment
        return Self.mix(state)
    }

    /// A number of -1 ..< 1.
    package mutating func uniform() -> Float {
        Float(Int32(truncatingIfNeeded: bits() >> 40) - (1 << 23)) / Float(1 << 23)
    }

    /// A nearly normal number (mean 0, deviation 1), as the sum of twelve uniform ones: exact arithmetic, which
    /// logarithms of a library are not.
    package mutating func normal() -> Float {
        var sum: UInt64 = 0
        for _ in 0..<4 {
            let word = bits()
            // Three of 21 bits each.
            sum += (word & 0x1F_FFFF) + ((word >> 21) & 0x1F_FFFF) + ((word >> 42) & 0x1F_FFFF)
        }
        // Twelve uniform numbers of 0 ... 1 have mean 6 and variance 1.
        return Float(Double(sum) / Double(1 << 21) - 6)
    }
}
