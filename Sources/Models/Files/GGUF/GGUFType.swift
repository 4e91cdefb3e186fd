import CKernels

/// The element types of GGUF tensors that are read.
package enum GGUFType: UInt32, Sendable, CustomStringConvertible {
    case f32 = 0
    case f16 = 1
    case q40 = 2
    case q41 = 3
    case q50 = 6
    case q51 = 7
    case q80 = 8
    case q2k = 10
    case q3k = 11
    case q4k = 12
    case q5k = 13
    case q6k = 14
    case iq4nl = 20
    case bf16 = 30

    package var description: String { Self.name(of: rawValue) }

    static let list = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL and Q2_K to Q6_K"

    /// ggml's name of a type, read or not.
    static func name(of code: UInt32) -> String {
        let names: [UInt32: String] = [
            0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K",
            11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS",
            19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32",
            27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
        ]
        return names[code] ?? "of type \(code)"
    }

    /// Values of a block and its bytes.
    var block: (count: Int, byteCount: Int) {
        switch self {
        case .f32: (1, 4)
        case .f16, .bf16: (1, 2)
        case .q40: (32, 18)
        case .q41: (32, 20)
        case .q50: (32, 22)
        case .q51: (32, 24)
        case .q80: (32, 34)
        case .iq4nl: (32, 18)
        case .q2k: (256, 84)
        case .q3k: (256, 110)
        case .q4k: (256, 144)
        case .q5k: (256, 176)
        case .q6k: (256, 210)
        }
    }

    /// Bytes of a tensor with these dimensions, fastest first; nil when blocks do not fit rows or the size overflows,
    /// also that of a tensor without values: its other dimensions are multiplied, too.
    func byteCount(_ dimensions: [Int]) -> Int? {
        guard let width = dimensions.first, width % block.count == 0, Self.isBounded(dimensions) else { return nil }
        var count = width / block.count * block.byteCount
        for dimension in dimensions.dropFirst() {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow else { return nil }
            count = product
        }
        return count
    }

    /// Whether the product of the dimensions above zero fits.
    private static func isBounded(_ dimensions: [Int]) -> Bool {
        var count = 1
        for dimension in dimensions {
            let (product, overflow) = count.multipliedReportingOverflow(by: max(1, dimension))
            guard !overflow else { return false }
            count = product
        }
        return true
    }

    /// Converts `out.count` values, whole blocks, to f32.
    package func dequantize(_ bytes: UnsafeRawBufferPointer, into out: UnsafeMutableBufferPointer<Float>) {
        precondition(out.count % block.count == 0 && bytes.count == out.count / block.count * block.byteCount)
        guard let source = bytes.baseAddress, let base = out.baseAddress else { return }
        switch self {
        case .f32: UnsafeMutableRawBufferPointer(out).copyMemory(from: bytes)
        case .f16: opd_f16_to_f32(base, source, out.count)
        case .bf16: opd_bf16_to_f32(base, source, out.count)
        case .q40: opd_q4_0_to_f32(base, source, out.count)
        case .q41: opd_q4_1_to_f32(base, source, out.count)
        case .q50: opd_q5_0_to_f32(base, source, out.count)
        case .q51: opd_q5_1_to_f32(base, source, out.count)
        case .q80: opd_q8_0_to_f32(base, source, out.count)
        case .iq4nl: opd_iq4_nl_to_f32(base, source, out.count)
        case .q2k: opd_q2_k_to_f32(base, source, out.count)
        case .q3k: opd_q3_k_to_f32(base, source, out.count)
        case .q4k: opd_q4_k_to_f32(base, source, out.count)
        case .q5k: opd_q5_k_to_f32(base, source, out.count)
        case .q6k: opd_q6_k_to_f32(base, source, out.count)
        }
    }
}
