/// SHA-256 (FIPS 180-4): for values that other programs compute too and compare with ours.
///
/// Our own, because swift-crypto compiles a C library of a minute and a half into every build, for one hash of a few
/// megabytes at the start of a process. It keeps no secret, so its timing matters to nobody.
package struct SHA256: Sendable {
    private var state: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
    /// Bytes that are not a whole block yet: fewer than 64.
    private var pending: [UInt8] = []
    private var byteCount: UInt64 = 0

    package init() {}

    /// Takes the bytes that come next.
    package mutating func update(_ bytes: [UInt8]) {
        byteCount += UInt64(bytes.count)
        pending += bytes
        let whole = pending.count / 64 * 64
        guard whole > 0 else { return }
        pending.withUnsafeBytes { buffer in
            state.withUnsafeMutableBufferPointer { state in
                for start in stride(from: 0, to: whole, by: 64) { Self.compress(buffer, start, into: state) }
            }
        }
        pending.removeFirst(whole)
    }

    /// The hash of all bytes so far, in 64 lower-case hexadecimal digits.
    package var hexDigest: String {
        var last = self
        var padding: [UInt8] = [0x80]
        padding += [UInt8](repeating: 0, count: (119 - pending.count) % 64)
        padding += (0..<8).reversed().map { UInt8(truncatingIfNeeded: (byteCount * 8) >> (8 * UInt64($0))) }
        last.update(padding)
        let digits = Array("0123456789abcdef".utf8)
        let text = last.state.flatMap { word in
            stride(from: 28, through: 0, by: -4).map { digits[Int(word >> UInt32($0) & 15)] }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func compress(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, into state: UnsafeMutableBufferPointer<UInt32>
    ) {
        func turned(_ x: UInt32, _ count: UInt32) -> UInt32 { x &>> count | x &<< (32 &- count) }
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { w in
            for t in 0..<16 {
                w[t] = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start + 4 * t, as: UInt32.self))
            }
            for t in 16..<64 {
                let x = w[t - 15], y = w[t - 2]
                let small0 = turned(x, 7) ^ turned(x, 18) ^ x &>> 3
                let small1 = turned(y, 17) ^ turned(y, 19) ^ y &>> 10
                w[t] = w[t - 16] &+ small0 &+ w[t - 7] &+ small1
            }
            var (a, b, c, d) = (state[0], state[1], state[2], state[3])
            var (e, f, g, h) = (state[4], state[5], state[6], state[7])
            constants.withUnsafeBufferPointer { k in
                for t in 0..<64 {
                    let big1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)
                    let first = h &+ big1 &+ ((e & f) ^ (~e & g)) &+ k[t] &+ w[t]
                    let big0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)
                    let second = big0 &+ ((a & b) ^ (a & c) ^ (b & c))
                    (h, g, f, e) = (g, f, e, d &+ first)
                    (d, c, b, a) = (c, b, a, first &+ second)
                }
            }
            for (index, value) in [a, b, c, d, e, f, g, h].enumerated() { state[index] &+= value }
        }
    }

    /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
    private static let constants: [UInt32] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ]
}
