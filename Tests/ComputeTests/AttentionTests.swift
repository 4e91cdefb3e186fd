import Compute
import Glibc
import Rules
import Testing

/// One attention layer with rotary positions and optional norms: inputs, and the same in plain double precision.
struct AttentionCase {
    let shape: AttentionShape
    let type: ElementType
    let count: Int
    let qkv: Tensor
    let rule: AttentionRule
    let rope: RopeTable?
    let qNorm: Tensor?
    let kNorm: Tensor?
    let epsilon: Float = 1e-6

    /// - Parameters:
    ///   - wholeNorms: norms are over all heads of a row, not over each by itself.
    ///   - rotary: elements of a head that turn; nil: all, 0: there is no rope.
    ///   - factor: of what turns.
    init(
        _ shape: AttentionShape, _ type: ElementType, count: Int, norms: Bool, seed: UInt64 = 1,
        rule: AttentionRule = AttentionRule(), wholeNorms: Bool = false, rotary: Int? = nil, factor: Double = 1
    ) {
        var random = Random(seed)
        self.shape = shape
        self.type = type
        self.count = count
        self.rule = rule
        qkv = random.tensor(count, shape.fusedColumns, type, scale: 2)
        let half = (rotary ?? shape.headDimension) / 2
        let cosines = Tensor(rows: count, columns: half)
        let sines = Tensor(rows: count, columns: half)
        for p in 0..<count {
            for i in 0..<half {
                let angle = Double(p) * pow(10000, -Double(i) / Double(half))
                cosines.f32[p * half + i] = Float(factor * cos(angle))
                sines.f32[p * half + i] = Float(factor * sin(angle))
            }
        }
        rope = half == 0 ? nil : RopeTable(cos: cosines, sin: sines)
        qNorm = norms ? random.tensor(1, wholeNorms ? shape.queryColumns : shape.headDimension) : nil
        kNorm = norms ? random.tensor(1, wholeNorms ? shape.keyColumns : shape.headDimension) : nil
    }

    static func pages(_ pool: PagePool, _ positions: Int) -> [Int32] {
        (0..<(positions + 63) / 64).map { _ in pool.allocate() }
    }

    /// Runs the rows in the given splits, one after another, over pages of one sequence.
    func run(_ context: ComputeContext, splits: [Int], layer: Int = 1) -> (
        out: Tensor, q: Tensor, lse: Tensor, pool: PagePool, pages: [Int32]
    ) {
        let pool = PagePool(shape: shape, layers: 2, type: type, pageCount: 1)
        _ = pool.allocate()
        let pages = Self.pages(pool, count)
        let out = Tensor(rows: count, columns: shape.queryColumns, type: type)
        let q = Tensor(rows: count, columns: shape.queryColumns, type: type)
        let lse = Tensor(rows: count, columns: shape.heads)
        var at = 0
        for size in splits {
            let rows = at..<at + size
            let segment = Segment(firstRow: 0, count: size, startPosition: at, pages: pages)
            context.ropeAndCache(
                qkv: qkv.rows(rows), shape: shape, qNorm: qNorm, kNorm: kNorm, epsilon: epsilon, rope: rope,
                segments: [segment], layer: layer, pool: pool, into: q.rows(rows))
            context.attention(
                q: q.rows(rows), shape: shape, rule: rule, segments: [segment], layer: layer, pool: pool,
                into: out.rows(rows), logSumExp: lse.rows(rows))
            at += size
        }
        return (out, q, lse, pool, pages)
    }

    /// Dense causal attention of raw rows.
    func reference(_ qkv: [Double], _ qNorm: [Double]?, _ kNorm: [Double]?) -> [Double] {
        let (d, heads, kv) = (shape.headDimension, shape.heads, shape.keyValueHeads)
        let width = shape.fusedColumns
        let half = (rope?.rotaryDimension ?? 0) / 2
        // `sharing`: the heads, of one row, that a norm over all of them is over.
        func turned(_ row: Int, _ head: Int, _ w: [Double]?, sharing heads: Range<Int>) -> [Double] {
            func raw(_ heads: Range<Int>) -> ArraySlice<Double> {
                qkv[row * width + heads.lowerBound * d..<row * width + heads.upperBound * d]
            }
            var x = Array(raw(head..<head + 1))
            if let w {
                let normed = w.count == d ? raw(head..<head + 1) : raw(heads)
                let mean = normed.reduce(0) { $0 + $1 * $1 } / Double(normed.count)
                let r = 1 / (mean + Double(epsilon)).squareRoot()
                let first = w.count == d ? 0 : (head - heads.lowerBound) * d
                for i in 0..<d { x[i] *= r * w[first + i] }
            }
            var y = x
            for i in 0..<half {
                let c = Double(rope?.cos.f32[row * half + i] ?? 0)
                let s = Double(rope?.sin.f32[row * half + i] ?? 0)
                y[i] = x[i] * c - x[i + half] * s
                y[i + half] = x[i + half] * c + x[i] * s
            }
            return y
        }
        let keys = (0..<count).map { row in (0..<kv).map { turned(row, heads + $0, kNorm, sharing: heads..<heads + kv) }
        }
        var out = [Double](repeating: 0, count: count * heads * d)
        for row in 0..<count {
            for head in 0..<heads {
                let q = turned(row, head, qNorm, sharing: 0..<heads)
                let group = head * kv / heads
                // The same as transformers' sliding-window mask: key > query - window.
                let first = rule.window > 0 ? max(0, row - rule.window + 1) : 0
                let (scale, cap) = (rule.scale.map(Double.init) ?? 1 / Double(d).squareRoot(), Double(rule.softCap))
                var scores: [Double] = []
                for key in first...row {
                    var dot = 0.0
                    for i in 0..<d { dot += q[i] * keys[key][group][i] }
                    scores.append(cap > 0 ? cap * tanh(dot * scale / cap) : dot * scale)
                }
                let top = scores.max() ?? 0
                let weights = scores.map { exp($0 - top) }
                let sum = weights.reduce(0, +)
                for key in first...row {
                    let p = weights[key - first] / sum
                    let base = key * width + (heads + kv + group) * d
                    for i in 0..<d { out[(row * heads + head) * d + i] += p * qkv[base + i] }
                }
            }
        }
        return out
    }
}

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
            let layer = AttentionCase(shape, type, count: 70, norms: index % 2 == 0)
            let out = layer.run(context, splits: [70]).out
            let want = layer.reference(
                layer.qkv.floats().map(Double.init), layer.qNorm?.floats().map(Double.init),
                layer.kNorm?.floats().map(Double.init))
            #expect(relativeError(out.floats(), want) < (type == .f32 ? 3e-6 : 2e-2), "\(shape)")
        }
    }

    @Test(arguments: sets, ElementType.allCases)
    func bitsDoNotDependOnTheSplit(set: String, type: ElementType) {
        let one = ComputeContext(threads: 1, instructionSet: set, emulateBF16: nil)
        let two = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
        for (index, shape) in Self.shapes.enumerated() {
            let layer = AttentionCase(shape, type, count: 150, norms: index % 2 == 1)
            let whole = layer.run(two, splits: [150])
            for splits in [[Int](repeating: 1, count: 150), [37, 64, 1, 48], [64, 64, 22], [149, 1]] {
                let parts = layer.run(one, splits: splits)
                #expect(parts.out.bits == whole.out.bits, "\(shape) \(splits.count) parts")
                #expect(parts.lse.bits == whole.lse.bits)
                #expect(parts.q.bits == whole.q.bits)
            }
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
            let layer = AttentionCase(shape, .f32, count: 70, norms: index % 2 == 0)
            var random = Random(9)
            let dOut = random.tensor(70, shape.queryColumns)
            let weights = dOut.floats().map(Double.init)
            let x = layer.qkv.floats().map(Double.init)
            let (qn, kn) = (layer.qNorm?.floats().map(Double.init), layer.kNorm?.floats().map(Double.init))
            func loss(_ x: [Double], _ q: [Double]?, _ k: [Double]?) -> Double {
                zip(layer.reference(x, q, k), weights).reduce(0) { $0 + $1.0 * $1.1 }
            }
            var bits: [[UInt8]] = []
            for threads in [1, 2] {
                let context = ComputeContext(threads: threads, instructionSet: set, emulateBF16: nil)
                let (d, dq, dk) = Self.backward(context, layer, dOut)
                bits.append(d.bits + (dq?.bits ?? []) + (dk?.bits ?? []))
                if threads == 2 || (set != Self.sets.last && index > 1) { continue }
                for _ in 0..<10 {
                    let i = random.int(below: x.count)
                    let slope = RowKernelTests.slope(x, i) { loss($0, qn, kn) }
                    #expect(abs(Double(d.f32[i]) - slope) < 2e-5 + 1e-4 * abs(slope), "\(shape) element \(i)")
                }
                if let qn, let kn, let dq, let dk {
                    let i = random.int(below: shape.headDimension)
                    let forQ = RowKernelTests.slope(qn, i) { loss(x, $0, kn) }
                    let forK = RowKernelTests.slope(kn, i) { loss(x, qn, $0) }
                    #expect(abs(Double(dq.f32[i]) - forQ) < 1e-4 + 1e-4 * abs(forQ))
                    #expect(abs(Double(dk.f32[i]) - forK) < 1e-4 + 1e-4 * abs(forK))
                }
            }
            #expect(bits[0] == bits[1], "threads change \(shape)")
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
        let (d, _, _) = Self.backward(context, narrow, dOut)
        let wide = AttentionCase(shape, .f32, count: 130, norms: true)
        context.convert(from: narrow.qkv, to: wide.qkv)
        let (want, _, _) = Self.backward(context, wide, dOut.converted(to: .f32))
        #expect(relativeError(d.floats(), want.floats()) < 2e-2)
    }

    static func backward(_ context: ComputeContext, _ layer: AttentionCase, _ dOut: Tensor) -> (
        Tensor, Tensor?, Tensor?
    ) {
        let forward = layer.run(context, splits: [layer.count])
        let dqkv = Tensor(rows: layer.count, columns: layer.shape.fusedColumns, type: layer.type)
        let dq = layer.qNorm.map { Tensor(rows: 1, columns: $0.columns) }
        let dk = layer.kNorm.map { Tensor(rows: 1, columns: $0.columns) }
        context.attentionBackward(
            dOut: dOut, out: forward.out, logSumExp: forward.lse, qkv: layer.qkv, q: forward.q, shape: layer.shape,
            qNorm: layer.qNorm, kNorm: layer.kNorm, epsilon: layer.epsilon, rope: layer.rope, rule: layer.rule,
            groups: [
                AttentionGroup(
                    prompt: Segment(firstRow: 0, count: layer.count, startPosition: 0, pages: forward.pages),
                    responses: [])
            ], layer: 1,
            pool: forward.pool, into: dqkv, dQNorm: dq, dKNorm: dk)
        return (dqkv, dq, dk)
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
