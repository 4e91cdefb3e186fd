import CKernels
import Compute
import Testing

/// The bf16 product by AMX tiles against plain Swift, bit by bit, where this CPU has them.
@Suite(.enabled(if: ck_bf16_tiles_available())) struct TilesTests {
    /// Widths with and without a rest of a block and of a tile; depths with and without a rest of a step, one odd.
    static let shapes = [(64, 64), (40, 34), (1, 2), (1, 1), (300, 576), (130, 100), (96, 33), (31, 47)]

    /// y [rows, outputs] as Intel's manual defines TDPBF16PS: of 32 products those with even and with odd index are a
    /// chain each, whose sum is added to the sum so far.
    static func reference(_ x: Tensor, _ w: Tensor) -> [Float] {
        let (x, w, depth, rows, outputs) = (x.floats(), w.floats(), x.columns, x.rows, w.rows)
        var y = [Float](repeating: 0, count: rows * outputs)
        for row in 0..<rows {
            for output in 0..<outputs {
                var sum: Float = 0
                for step in stride(from: 0, to: depth, by: 32) {
                    var chains: (Float, Float) = (0, 0)
                    for k in step..<min(step + 32, depth) {
                        let (a, b) = (x[row * depth + k], w[output * depth + k])
                        if k % 2 == 0 { chains.0.addProduct(a, b) } else { chains.1.addProduct(a, b) }
                    }
                    sum += chains.0 + chains.1
                }
                y[row * outputs + output] = sum
            }
        }
        return y
    }

    @Test func productIsThatOfTheManual() {
        let context = ComputeContext(threads: 2)
        #expect(context.usesTiles)
        var random = Random(21)
        for (outputs, depth) in Self.shapes {
            let w = random.tensor(outputs, depth, .bf16)
            let packed = context.pack(w, as: .bf16)
            for rows in [1, 2, 15, 16, 17, 31, 32, 33, 48, 49, 70] {
                let x = random.tensor(rows, depth, .bf16)
                let want = Tensor(floats: Self.reference(x, w), rows: rows, columns: outputs)
                let y = Tensor(rows: rows, columns: outputs)
                context.linear(x, packed, into: y)
                #expect(y.bits == want.bits, "\(outputs) x \(depth), \(rows) rows")
                let narrow = Tensor(rows: rows, columns: outputs, type: .bf16)
                context.linear(x, packed, into: narrow)
                #expect(narrow.bits == want.converted(to: .bf16).bits, "\(outputs) x \(depth), \(rows) rows, narrowed")
                let start = random.tensor(rows, outputs)
                let sum = start.copy()
                context.linear(x, packed, into: sum, accumulate: true)
                #expect(
                    sum.floats() == zip(start.floats(), want.floats()).map { $0 + $1 },
                    "\(outputs) x \(depth), \(rows) rows, added")
            }
        }
    }
}
