/// The hash FNV-1a of 64 bits (RFC 9923), for digests that only programs of this project compare.
package struct FNVHash: Sendable {
    package private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    package init() {}

    package mutating func add(_ byte: UInt8) { mix(UInt64(byte)) }

    package mutating func add(_ text: String) { for byte in text.utf8 { mix(UInt64(byte)) } }

    /// Adds the word's bytes, the lowest first.
    package mutating func add(_ word: UInt32) {
        for shift: UInt32 in [0, 8, 16, 24] { mix(UInt64(UInt8(truncatingIfNeeded: word >> shift))) }
    }

    /// Adds the bits of each number in one step, which is four times as fast as byte by byte.
    package mutating func add(_ values: UnsafeBufferPointer<Float>) {
        var hash = value
        for number in values { hash = (hash ^ UInt64(number.bitPattern)) &* Self.prime }
        value = hash
    }

    private static let prime: UInt64 = 0x100_0000_01B3

    private mutating func mix(_ bits: UInt64) { value = (value ^ bits) &* Self.prime }
}
