/// Random numbers as a pure function of a key and a counter: no state to save, no order to keep.
///
/// The mixing function is SplitMix64's finaliser (Steele, Lea, Flood, 2014), applied once a key word.
package struct CounterRandom: Sendable, Equatable {
    private let key: UInt64

    /// - Parameter words: what the numbers belong to, such as run seed, purpose and pass.
    package init(key words: UInt64...) {
        key = words.reduce(0x6F70_645F_7365_6564) { Self.mix($0 &+ Self.mix($1 &+ 0x9E37_79B9_7F4A_7C15)) }
    }

    /// 64 uniform bits.
    package func bits(_ counter: UInt64) -> UInt64 {
        Self.mix(key ^ Self.mix(counter &* 0x9E37_79B9_7F4A_7C15 &+ 0xD1B5_4A32_D192_ED03))
    }

    /// A uniform integer in 0 ..< bound (the bias, below bound / 2^64, is of no account here).
    package func integer(below bound: UInt64, _ counter: UInt64) -> UInt64 {
        bits(counter).multipliedFullWidth(by: bound).high
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
