import CKernels
import Randomness
import Rules
import Wording

extension ComputeContext {
    /// Sixteen hexadecimal digits that are equal on machines whose products and exponentials have the same bits: a hash
    /// of some, computed once. CPUs with AMX, with AVX-512 and bf16, and others differ, and versions of oneDNN may.
    package static let arithmetic = ComputeContext(threads: 1).arithmeticHash()

    /// Over products in both types, of few rows and of many, and of exponentials.
    package func arithmeticHash() -> String {
        var hash = FNVHash()
        for type in ElementType.allCases {
            for (outputs, inputs) in [(96, 576), (40, 100)] {
                let weights = pack(Self.samples(rows: outputs, columns: inputs, seed: 1), as: type)
                for rows in [3, 70] {
                    let x = Tensor(rows: rows, columns: inputs, type: type)
                    convert(from: Self.samples(rows: rows, columns: inputs, seed: 2), to: x)
                    let y = Tensor(rows: rows, columns: outputs)
                    linear(x, weights, into: y)
                    hash.add(UnsafeBufferPointer(start: y.f32, count: y.count))
                    kernels.exp(y.f32, y.f32, Int64(y.count))
                    hash.add(UnsafeBufferPointer(start: y.f32, count: y.count))
                }
            }
        }
        return hash.value.padded(to: 16, radix: 16)
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
