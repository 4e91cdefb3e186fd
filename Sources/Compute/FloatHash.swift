/// A fingerprint of f32 values: FNV-1a over their bits, in order.
package struct FloatHash {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func add(_ values: UnsafeBufferPointer<Float>) {
        var hash = value
        for number in values { hash = (hash ^ UInt64(number.bitPattern)) &* 0x100_0000_01b3 }
        value = hash
    }
}
