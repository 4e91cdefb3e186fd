/// Random numbers as a pure function of a key and a counter: no state to save, no order to keep.
///
/// The mixing function is SplitMix64's finaliser, applied once a key word.
package struct CounterRandom: Sendable, Equatable {
    private let key: UInt64

    /// - Parameter words: what the numbers belong to, such as run seed, purpose and pass.
    package init(key words: UInt64...) {
        key = words.reduce(0x6F70_645F_7365_6564) {
            SplitMix64.mix($0 &+ SplitMix64.mix($1 &+ SplitMix64.increment))
        }
    }

    /// 64 uniform bits.
    package func bits(_ counter: UInt64) -> UInt64 {
        SplitMix64.mix(key ^ SplitMix64.mix(counter &* SplitMix64.increment &+ 0xD1B5_4A32_D192_ED03))
    }

    /// A uniform integer in 0 ..< bound (the bias, below bound / 2^64, is of no account here).
    package func integer(below bound: UInt64, _ counter: UInt64) -> UInt64 {
        bits(counter).multipliedFullWidth(by: bound).high
    }
}
