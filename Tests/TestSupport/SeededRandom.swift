import Randomness

/// Numbers of a seed, so that what fails fails again: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
package struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= SplitMix64.increment
        return SplitMix64.mix(state)
    }
}
