import Compute
import Glibc
import Rules

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
