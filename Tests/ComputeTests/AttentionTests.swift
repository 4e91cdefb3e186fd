import Compute
import Rules
import Testing

@Suite struct AttentionTests {
    static let sets = ComputeContext.availableInstructionSets
    static let shapes = [
        AttentionShape(heads: 6, keyValueHeads: 2, headDimension: 64),
        AttentionShape(heads: 2, keyValueHeads: 2, headDimension: 40),
        AttentionShape(heads: 7, keyValueHeads: 1, headDimension: 16),
        AttentionShape(heads: 2, keyValueHeads: 1, headDimension: 136),
        AttentionShape(heads: 4, keyValueHeads: 2, headDimension: 8),
    ]

    @Test(arguments: sets, ElementType.allCases)
    func matchesReference(set: String, type: ElementType) {
        let context = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
        for (index, shape) in Self.shapes.enumerated() {
            AttentionCase(shape, type, count: 70, norms: index % 2 == 0)
                .expectReference(context, tolerance: type == .f32 ? 3e-6 : 2e-2)
        }
    }

    @Test(arguments: sets, ElementType.allCases)
    func bitsDoNotDependOnTheSplit(set: String, type: ElementType) {
        for (index, shape) in Self.shapes.enumerated() {
            AttentionCase(shape, type, count: 150, norms: index % 2 == 1).expectBitsDoNotDependOnTheSplit(set: set)
        }
    }

    /// The next tokens of many sequences, each at its own position, against rows that are prepared and attended apart.
    @Test(arguments: sets, ElementType.allCases)
    func nextTokensHaveTheBitsOfTheTwoPasses(set: String, type: ElementType) {
        for (index, shape) in Self.shapes.enumerated() {
            let layer = AttentionCase(shape, type, count: 150, norms: index % 2 == 0)
            let whole = layer.run(ComputeContext(threads: 1, instructionSet: set, emulateBF16: nil), splits: [150])
            for threads in [1, 2] {
                let context = ComputeContext(threads: threads, instructionSet: set, emulateBF16: nil)
                // The first positions of a page, its last, and those around.
                let positions = [0, 1, 17, 62, 63, 64, 65, 127, 128, 149]
                let qkv = Tensor(rows: positions.count, columns: shape.fusedColumns, type: type)
                let out = Tensor(rows: positions.count, columns: shape.queryColumns, type: type)
                var segments: [Segment] = []
                let pool = PagePool(shape: shape, layers: 2, type: type, pageCount: 0)
                for (row, position) in positions.enumerated() {
                    let pages = AttentionCase.pages(pool, position + 1)
                    let q = Tensor(rows: 150, columns: shape.queryColumns, type: type)
                    context.ropeAndCache(
                        qkv: layer.qkv.rows(0..<position), shape: shape, qNorm: layer.qNorm, kNorm: layer.kNorm,
                        epsilon: layer.epsilon, rope: layer.rope,
                        segments: [Segment(firstRow: 0, count: position, startPosition: 0, pages: pages)], layer: 1,
                        pool: pool, into: q.rows(0..<position))
                    context.convert(from: layer.qkv.rows(position..<position + 1), to: qkv.rows(row..<row + 1))
                    segments.append(Segment(firstRow: row, count: 1, startPosition: position, pages: pages))
                }
                context.attendNext(
                    qkv: qkv, shape: shape, qNorm: layer.qNorm, kNorm: layer.kNorm, epsilon: layer.epsilon,
                    rope: layer.rope, segments: segments, layer: 1, pool: pool, into: out)
                for (row, position) in positions.enumerated() {
                    #expect(
                        out.rows(row..<row + 1).bits == whole.out.rows(position..<position + 1).bits,
                        "\(shape), position \(position), \(threads) threads")
                }
            }
        }
    }

    @Test func sequencesInOneBatchDoNotMeet() {
        let shape = AttentionShape(heads: 6, keyValueHeads: 2, headDimension: 64)
        let context = ComputeContext(threads: 2)
        let a = AttentionCase(shape, .bf16, count: 90, norms: false, seed: 1)
        let b = AttentionCase(shape, .bf16, count: 33, norms: false, seed: 2)
        let pool = PagePool(shape: shape, layers: 1, type: .bf16, pageCount: 0)
        let qkv = Tensor(rows: 123, columns: shape.fusedColumns, type: .bf16)
        context.convert(from: a.qkv, to: qkv.rows(0..<90))
        context.convert(from: b.qkv, to: qkv.rows(90..<123))
        let segments = [
            Segment(firstRow: 90, count: 33, startPosition: 0, pages: AttentionCase.pages(pool, 33)),
            Segment(firstRow: 0, count: 90, startPosition: 0, pages: AttentionCase.pages(pool, 90)),
        ]
        let q = Tensor(rows: 123, columns: shape.queryColumns, type: .bf16)
        let out = Tensor(rows: 123, columns: shape.queryColumns, type: .bf16)
        context.ropeAndCache(qkv: qkv, shape: shape, rope: a.rope, segments: segments, layer: 0, pool: pool, into: q)
        context.attention(q: q, shape: shape, segments: segments, layer: 0, pool: pool, into: out)
        #expect(out.rows(0..<90).bits == a.run(context, splits: [90]).out.bits)
        #expect(out.rows(90..<123).bits == b.run(context, splits: [33]).out.bits)
    }

    @Test(arguments: sets)
    func gradientMatchesFiniteDifferences(set: String) {
        for (index, shape) in Self.shapes.enumerated() {
            AttentionCase(shape, .f32, count: 70, norms: index % 2 == 0).expectGradient(
                set: set, isCompared: set == Self.sets.last || index <= 1, elements: 10, weights: 1, tolerance: 2e-5,
                relative: 1e-4)
        }
    }

    /// bf16 gradients against the f32 ones on the same rounded inputs.
    @Test(arguments: sets)
    func gradientInBF16(set: String) {
        let context = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
        let shape = AttentionShape(heads: 6, keyValueHeads: 2, headDimension: 64)
        let narrow = AttentionCase(shape, .bf16, count: 130, norms: true)
        var random = Random(9)
        let dOut = random.tensor(130, shape.queryColumns, .bf16)
        let (d, _, _) = narrow.backward(context, dOut)
        let wide = AttentionCase(shape, .f32, count: 130, norms: true)
        context.convert(from: narrow.qkv, to: wide.qkv)
        let (want, _, _) = wide.backward(context, dOut.converted(to: .f32))
        #expect(relativeError(d.floats(), want.floats()) < 2e-2)
    }

    @Test func pagesCountReferences() {
        let pool = PagePool(
            shape: AttentionShape(heads: 2, keyValueHeads: 1, headDimension: 8), layers: 1, type: .f32, pageCount: 2)
        let a = pool.allocate()
        let b = pool.copy(a)
        let c = pool.allocate()
        #expect(Set([a, b, c]).count == 3 && pool.capacity == 3 && pool.pagesInUse == 3)
        pool.retain(a)
        pool.release(a)
        // One reference is left: the page is free after exactly one more release.
        #expect(pool.pagesInUse == 3)
        pool.release(a)
        #expect(pool.pagesInUse == 2 && pool.allocate() == a)
    }
}
