import Compute
import Rules
import Testing

/// The merge of adapters and what their gradients need.
@Suite struct AdapterKernelTests {
    /// Bit for bit what plain Swift computes, with every instruction set and any number of threads, at every tail.
    @Test(arguments: ComputeContext.availableInstructionSets, [1, 2])
    func mergingHasTheBitsOfTheFormula(instructionSet: String, threads: Int) {
        let context = ComputeContext(threads: threads, instructionSet: instructionSet, emulateBF16: nil)
        var random = Random(3)
        for (n, k, rank) in [(1, 1, 1), (5, 16, 3), (130, 64, 8), (65, 100, 16), (64, 200, 64), (3, 129, 2)] {
            let base = random.tensor(n, k), a = random.tensor(rank, k), b = random.tensor(n, rank)
            let scale: Float = 32 / Float(rank)
            var expected = [Float](repeating: 0, count: n * k)
            for row in 0..<n {
                for column in 0..<k {
                    var sum: Float = 0
                    for index in 0..<rank { sum += b.f32[row * rank + index] * a.f32[index * k + column] }
                    expected[row * k + column] = base.f32[row * k + column] + sum * scale
                }
            }
            let out = Tensor(rows: n, columns: k)
            context.addAdapter(base: base, a: a, b: b, scale: scale, into: out)
            #expect(out.floats().map(\.bitPattern) == expected.map(\.bitPattern), "\(n) x \(k), rank \(rank)")
            let alone = Tensor(rows: n, columns: k)
            context.addAdapterAlone(base: base, a: a, b: b, scale: scale, into: alone)
            context.addAdapter(base: base, a: a, b: b, scale: scale, into: base)
            #expect(alone.bits == out.bits && base.bits == out.bits)
        }
    }

    @Test(arguments: [ElementType.f32, .bf16]) func columnsAreCopied(type: ElementType) {
        let context = ComputeContext(threads: 2)
        var random = Random(4)
        let x = random.tensor(37, 50, type), wide = x.floats()
        for columns in [0..<50, 3..<20, 49..<50] {
            let y = Tensor(rows: 37, columns: columns.count)
            context.copyColumns(columns, of: x, into: y)
            #expect(y.floats() == (0..<37).flatMap { row in columns.map { wide[row * 50 + $0] } })
        }
    }
}
