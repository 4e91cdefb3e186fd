import Compute
import Rules
import Testing

@Suite struct LinearTests {
    @Test(arguments: ElementType.allCases, Backend.all)
    func matchesReference(type: ElementType, backend: Backend) {
        let context = backend.context(threads: 2)
        var random = Random(1)
        for (n, k) in [(40, 56), (56, 40), (104, 300), (300, 48), (320, 384), (16, 8), (130, 576)] {
            let w = random.tensor(n, k)
            let x = random.tensor(33, k, type)
            let y = Tensor(rows: 33, columns: n)
            let packed = context.pack(w, as: type)
            context.linear(x, packed, into: y)
            let want = product(x.floats(), w.converted(to: type).floats(), m: 33, n: n, k: k)
            #expect(relativeError(y.floats(), want) < 1e-5, "\(n) x \(k)")
            let first = y.floats()
            context.linear(x, packed, into: y, accumulate: true)
            #expect(y.floats() == first.map { $0 * 2 }, "accumulate \(n) x \(k)")
            let transposed = context.pack(w, as: type, transposed: true)
            let dy = random.tensor(7, n, type)
            let dx = Tensor(rows: 7, columns: k)
            context.linear(dy, transposed, into: dx)
            var wT = [Float](repeating: 0, count: n * k)
            let rounded = w.converted(to: type).floats()
            for i in 0..<n { for j in 0..<k { wT[j * n + i] = rounded[i * k + j] } }
            #expect(relativeError(dx.floats(), product(dy.floats(), wT, m: 7, n: k, k: n)) < 1e-5, "transposed")
        }
    }

    /// A matrix may live longer than the context that packed it.
    @Test func matrixOutlivesItsContext() {
        var random = Random(2)
        var kept: [PackedMatrix] = []
        for _ in 0..<5 { kept.append(ComputeContext(threads: 2).pack(random.tensor(40, 56), as: .bf16)) }
        #expect(kept.reduce(0) { $0 + $1.panelCount } == 5)
    }
}
