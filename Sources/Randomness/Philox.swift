/// Random numbers as a pure function of (seed, stream, sample, position): Philox 4x32-10.
///
/// Source: Salmon and others, "Parallel Random Numbers: As Easy as 1, 2, 3", 2011. A token's draw depends on nothing but
/// its own coordinates, so the worker that samples it, and what else it samples, do not matter.
package enum Philox {
    /// A uniform number in [0, 1) with 53 random bits.
    package static func uniform(seed: UInt64, stream: UInt64, sample: UInt32, position: UInt32) -> Double {
        let block = words(
            counter: (UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32), sample, position),
            key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
        let bits = UInt64(block.0) << 32 | UInt64(block.1)
        return Double(bits >> 11) * 0x1p-53
    }

    package static func words(
        counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt32, UInt32, UInt32, UInt32) {
        var c = counter, k = key
        for _ in 0..<10 {
            let a = UInt64(0xD251_1F53) * UInt64(c.0), b = UInt64(0xCD9E_8D57) * UInt64(c.2)
            c = (
                UInt32(truncatingIfNeeded: b >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: a)
            )
            k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
        }
        return c
    }
}
