import CKernels
import Testing

/// The dequantizers against the formulas of ggml, a value at a time.
@Suite struct QuantizationTests {
    /// IEEE 754 half precision by its definition.
    static func half(_ bits: UInt16) -> Float {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10 & 31)
        let fraction = Float(bits & 1023)
        switch exponent {
        case 0: return sign * fraction * 0x1p-24
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        }
    }

    @Test func everyHalf() {
        let bits = (0...UInt16.max).map { $0 }
        var out = [Float](repeating: 0, count: bits.count)
        bits.withUnsafeBytes { opd_f16_to_f32(&out, $0.baseAddress, bits.count) }
        let wrong = zip(out, bits).filter { value, bits in
            let expected = Self.half(bits)
            return value.isNaN ? !expected.isNaN : value.bitPattern != expected.bitPattern
        }
        #expect(wrong.isEmpty)
    }

    @Test func everyBF16ThereAndBack() {
        let bits = (0...UInt16.max).map { $0 }
        var out = [Float](repeating: 0, count: bits.count)
        bits.withUnsafeBytes { opd_bf16_to_f32(&out, $0.baseAddress, bits.count) }
        var back = [UInt16](repeating: 0, count: bits.count)
        opd_f32_to_bf16(&back, out, out.count)
        let wrong = bits.indices.filter { index in
            out[index].bitPattern != UInt32(bits[index]) << 16
                || (out[index].isNaN ? back[index] & 0x7FFF <= 0x7F80 : back[index] != bits[index])
        }
        #expect(wrong.isEmpty)
    }

    @Test func blocks() {
        var generator = SystemRandomNumberGenerator()
        let blocks = 7
        func scale() -> UInt16 { UInt16.random(in: 0x1000...0x4000, using: &generator) }
        for (width, dequantize) in [(34, opd_q8_0_to_f32), (18, opd_q4_0_to_f32), (20, opd_q4_1_to_f32)] {
            var bytes: [UInt8] = [0]  // One byte before: blocks stand at any alignment.
            for _ in 0..<blocks {
                for _ in 0..<(width == 20 ? 2 : 1) {
                    let d = scale()
                    bytes += [UInt8(truncatingIfNeeded: d), UInt8(truncatingIfNeeded: d >> 8)]
                }
                while (bytes.count - 1) % width != 0 { bytes.append(.random(in: 0...255, using: &generator)) }
            }
            var out = [Float](repeating: .nan, count: blocks * 32)
            bytes.withUnsafeBytes { dequantize(&out, $0.baseAddress! + 1, out.count) }
            for index in out.indices {
                let block = Array(bytes[(1 + index / 32 * width)...].prefix(width))
                let d = Self.half(UInt16(block[0]) | UInt16(block[1]) << 8)
                let place = index % 32
                func nibble(_ start: Int) -> Float {
                    Float(place < 16 ? block[start + place] & 15 : block[start + place - 16] >> 4)
                }
                let expected: Float
                switch width {
                case 34: expected = d * Float(Int8(bitPattern: block[2 + place]))
                case 18: expected = d * (nibble(2) - 8)
                default: expected = d * nibble(4) + Self.half(UInt16(block[2]) | UInt16(block[3]) << 8)
                }
                #expect(out[index] == expected)
            }
        }
    }
}
