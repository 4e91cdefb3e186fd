import Compute
import Rules
import Testing

/// The promise everything rests on: a row's bits depend on that row and the weights alone.
@Suite struct LinearBitsTests {
    static let rowCounts = [1, 2, 3, 7, 16, 33, 64, 200]

    @Test(arguments: ElementType.allCases, Backend.all)
    func rowsAreIdenticalWhateverTheBatch(type: ElementType, backend: Backend) {
        let one = backend.context(threads: 1)
        let two = backend.context(threads: 2)
        // More threads than panels: these are cut.
        let seven = backend.context(threads: 7)
        var random = Random(7)
        let shapes = [
            (960, 576), (576, 1536), (576, 576), (3072, 576), (40, 56), (56, 104), (104, 300), (300, 48), (320, 384),
            (384, 320), (24, 8), (8, 40), (300, 40), (1, 64), (513, 48), (9000, 40),
            (70, 600),
        ]
        for (n, k) in shapes where n * k < 50_000 || backend.isFast {
            let w = random.tensor(n, k)
            let packedOne = one.pack(w, as: type)
            let packedTwo = two.pack(w, as: type)
            let packedSeven = seven.pack(w, as: type)
            let x = random.tensor(1024, k, type)
            let full = Tensor(rows: 1024, columns: n)
            two.linear(x, packedTwo, into: full)
            let fullOne = Tensor(rows: 1024, columns: n)
            one.linear(x, packedOne, into: fullOne)
            #expect(full.bits == fullOne.bits, "\(n) x \(k): 1 and 2 threads")
            for rows in Self.rowCounts {
                let from = random.int(below: 1024 - rows)
                let y = Tensor(rows: rows, columns: n)
                (rows % 2 == 0 ? one : two).linear(
                    x.rows(from..<from + rows), rows % 2 == 0 ? packedOne : packedTwo, into: y)
                #expect(y.bits == full.rows(from..<from + rows).bits, "\(n) x \(k): \(rows) rows at \(from)")
                let cut = Tensor(rows: rows, columns: n)
                seven.linear(x.rows(from..<from + rows), packedSeven, into: cut)
                #expect(cut.bits == y.bits, "\(n) x \(k): \(rows) rows, 7 threads")
                // Accumulation adds once, after the whole product.
                let sum = Tensor(rows: rows, columns: n)
                (rows % 2 == 0 ? two : seven).linear(
                    x.rows(from..<from + rows), rows % 2 == 0 ? packedTwo : packedSeven, into: sum, accumulate: true)
                #expect(sum.floats() == y.floats(), "\(n) x \(k): accumulate \(rows) rows")
            }
        }
    }

    @Test(arguments: ElementType.allCases)
    func typedOutputRoundsTheSameSum(type: ElementType) {
        let context = ComputeContext(threads: 2)
        var random = Random(3)
        let packed = context.pack(random.tensor(300, 104), as: type)
        let x = random.tensor(77, 104, type)
        let wide = Tensor(rows: 77, columns: 300)
        let narrow = Tensor(rows: 77, columns: 300, type: type)
        context.linear(x, packed, into: wide)
        context.linear(x, packed, into: narrow)
        #expect(narrow.bits == wide.converted(to: type).bits)
    }

    @Test(arguments: ElementType.allCases)
    func panelsAreTheColumnsOfTheWhole(type: ElementType) {
        let context = ComputeContext(threads: 2)
        var random = Random(4)
        let packed = context.pack(random.tensor(300, 56), as: type)
        let x = random.tensor(19, 56, type)
        let whole = Tensor(rows: 19, columns: 300)
        context.linear(x, packed, into: whole)
        let all = whole.floats()
        #expect(packed.panelRange(packed.panelCount - 1).upperBound == 300)
        for panel in 0..<packed.panelCount {
            let range = packed.panelRange(panel)
            let y = Tensor(rows: 19, columns: range.count)
            context.linearPanel(x, packed, panel: panel, into: y)
            let part = y.floats()
            for row in 0..<19 {
                #expect(
                    Array(part[row * range.count..<(row + 1) * range.count])
                        == Array(all[row * 300 + range.lowerBound..<row * 300 + range.upperBound]))
            }
        }
    }

    @Test func repackGivesTheBitsOfAFreshPack() {
        let context = ComputeContext(threads: 2)
        var random = Random(5)
        for type in ElementType.allCases {
            let a = random.tensor(300, 56)
            let b = random.tensor(300, 56)
            let packed = context.pack(a, as: type)
            context.repack(b, into: packed)
            let fresh = context.pack(b, as: type)
            let x = random.tensor(5, 56, type)
            let y1 = Tensor(rows: 5, columns: 300)
            let y2 = Tensor(rows: 5, columns: 300)
            context.linear(x, packed, into: y1)
            context.linear(x, fresh, into: y2)
            #expect(y1.bits == y2.bits)
            // bf16 weights given as bf16 or as the f32 they round from pack alike.
            let again = context.pack(b.converted(to: .bf16), as: type)
            context.linear(x, again, into: y2)
            if type == .bf16 { #expect(y1.bits == y2.bits) }
        }
    }
}

@Suite struct WeightGradientTests {
    @Test(arguments: ElementType.allCases, [1, 5, 64, 130, 700, 1600])
    func matchesReferenceOnAnyThreads(type: ElementType, rows: Int) {
        var random = Random(UInt64(rows))
        for (n, k) in [(40, 56), (200, 48), (56, 104), (13, 37)] {
            let dy = random.tensor(rows, n, type)
            let x = random.tensor(rows, k, type)
            let start = random.tensor(n, k)
            var dyT = [Float](repeating: 0, count: rows * n)
            var xT = [Float](repeating: 0, count: rows * k)
            let (d, v) = (dy.floats(), x.floats())
            for t in 0..<rows {
                for i in 0..<n { dyT[i * rows + t] = d[t * n + i] }
                for i in 0..<k { xT[i * rows + t] = v[t * k + i] }
            }
            let written = product(dyT, xT, m: n, n: k, k: rows)
            let added = zip(start.floats(), written).map { Double($0) + $1 }
            for (backend, accumulate) in Backend.all.flatMap({ backend in [(backend, false), (backend, true)] }) {
                var bits: [[UInt8]] = []
                for threads in [1, 2, 7] {
                    let dW = start.copy()
                    backend.context(threads: threads).weightGradient(dy: dy, x: x, into: dW, accumulate: accumulate)
                    #expect(
                        relativeError(dW.floats(), accumulate ? added : written) < 1e-5,
                        "\(n) x \(k), \(rows) rows, \(backend), accumulate \(accumulate)")
                    bits.append(dW.bits)
                }
                #expect(bits[0] == bits[1] && bits[1] == bits[2], "\(backend)")
            }
            // Where the package multiplies itself, oneDNN's way is tested all the same: it is what other CPUs take.
            for accumulate in [false, true] {
                let dW = start.copy()
                Backend.native.context(threads: 2).gradientByRows(dy: dy, x: x, into: dW, accumulate: accumulate)
                #expect(
                    relativeError(dW.floats(), accumulate ? added : written) < 1e-5,
                    "\(n) x \(k), \(rows) rows, oneDNN, accumulate \(accumulate)")
            }
        }
    }

    @Test(arguments: Backend.all, [ElementType.f32, .bf16])
    func noRowsHaveNoGradient(backend: Backend, type: ElementType) {
        let context = backend.context(threads: 2)
        let dy = Tensor(rows: 0, columns: 40, type: type), x = Tensor(rows: 0, columns: 56, type: type)
        let dW = Tensor(rows: 40, columns: 56)
        dW.fill(3)
        context.weightGradient(dy: dy, x: x, into: dW, accumulate: true)
        #expect(dW.floats().allSatisfy { $0 == 3 })
        context.weightGradient(dy: dy, x: x, into: dW)
        #expect(dW.floats().allSatisfy { $0 == 0 })
    }

    /// Tied embeddings are read out of the packed head: every row, in every packed form, with the bits of the table.
    @Test(arguments: Backend.all, [ElementType.f32, .bf16])
    func rowsAreReadBackOutOfAPackedMatrix(backend: Backend, type: ElementType) {
        let context = backend.context(threads: 2)
        var random = Random(7)
        // One panel and many, whole and with a rest; depths that blocks of 2, 4 and 16 do and do not divide.
        for (rows, columns) in [(5, 3), (70, 64), (513, 33), (8192 + 700, 40)] {
            let table = random.tensor(rows, columns, type)
            let packed = context.pack(table, as: type)
            #expect(packed.hasReadableRows)
            let ids = (0..<rows).map { Int32(($0 * 7) % rows) }
            let want = Tensor(rows: rows, columns: columns), got = Tensor(rows: rows, columns: columns)
            context.embed(ids: ids, table: table, into: want)
            context.embed(ids: ids, packed: packed, into: got)
            #expect(got.bits == want.bits, "\(rows) x \(columns)")
        }
    }
}
