import CKernels

extension ComputeContext {
    /// Sixteen hexadecimal digits that are equal on machines whose products and exponentials have the same bits: a hash
    /// of some, computed once. CPUs with AMX, with AVX-512 and bf16, and others differ, and versions of oneDNN may.
    public static let arithmetic = ComputeContext(threads: 1).arithmeticHash()

    /// FNV-1a over the bits of products in both types, of few rows and of many, and of exponentials.
    func arithmeticHash() -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for type in ElementType.allCases {
            for (outputs, inputs) in [(96, 576), (40, 100)] {
                let weights = pack(Self.samples(rows: outputs, columns: inputs, seed: 1), as: type)
                for rows in [3, 70] {
                    let x = Tensor(rows: rows, columns: inputs, type: type)
                    convert(from: Self.samples(rows: rows, columns: inputs, seed: 2), to: x)
                    let y = Tensor(rows: rows, columns: outputs)
                    linear(x, weights, into: y)
                    for index in 0..<y.count { hash = (hash ^ UInt64(y.f32[index].bitPattern)) &* 0x100_0000_01b3 }
                    kernels.exp(y.f32, y.f32, Int64(y.count))
                    for index in 0..<y.count { hash = (hash ^ UInt64(y.f32[index].bitPattern)) &* 0x100_0000_01b3 }
                }
            }
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// f32 of several magnitudes and both signs: another order of summation would round otherwise.
    private static func samples(rows: Int, columns: Int, seed: UInt32) -> Tensor {
        let values = Tensor(rows: rows, columns: columns)
        var state = seed
        for index in 0..<values.count {
            state = state &* 1_664_525 &+ 1_013_904_223
            values.f32[index] = Float(Int32(bitPattern: state)) / Float(1 << 31) / Float(1 + (state >> 8) % 7)
        }
        return values
    }
}
