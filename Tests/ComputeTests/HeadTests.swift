import Compute
import Glibc
import Rules
import Testing

@Suite struct HeadTests {
    struct Case {
        let x: Tensor
        let w: Tensor
        let targets: [Int32]
        let inverse: [Float]
        let rule: HeadRule
        var vocabulary: Int { w.rows }

        init(_ type: ElementType, rows: Int, vocabulary: Int, columns: Int, rule: HeadRule = HeadRule()) {
            self.rule = rule
            var random = Random(UInt64(vocabulary))
            x = random.tensor(rows, columns, type, scale: 2)
            w = random.tensor(vocabulary, columns).converted(to: type)
            targets = (0..<rows).map { _ in Int32(random.int(below: vocabulary)) }
            inverse = (0..<rows).map { $0 % 3 == 0 ? 1 : 0.5 + abs(random.float()) }
        }

        /// Scaled logits in double.
        func logits(_ x: [Float], _ w: [Float]) -> [[Double]] {
            let z = product(x, w, m: self.x.rows, n: vocabulary, k: self.x.columns)
            return (0..<self.x.rows).map { row in
                z[row * vocabulary..<(row + 1) * vocabulary].map { z in
                    let (scaled, cap) = (z * Double(rule.logitScale), Double(rule.softCap))
                    return (cap > 0 ? cap * tanh(scaled / cap) : scaled) * Double(inverse[row])
                }
            }
        }
    }

    static let rules = [HeadRule(), HeadRule(logitScale: 0.4), HeadRule(logitScale: 0.7, softCap: 3)]

    @Test(arguments: ElementType.allCases, Backend.all)
    func logprobsMatchReferenceAndNeverDependOnTheBatch(type: ElementType, backend: Backend) {
        let context = backend.context(threads: 2)
        let single = backend.context(threads: 1)
        for (vocabulary, rule) in [(9000, HeadRule())] + Self.rules.map({ (300, $0) }) {
            let c = Case(type, rows: vocabulary == 300 ? 150 : 70, vocabulary: vocabulary, columns: 40, rule: rule)
            let head = context.pack(c.w, as: type)
            let rows = c.x.rows
            var (logprobs, lse, entropy) = ([Float](), [Float](), [Float]())
            context.headLogprobs(
                c.x, head: head, rule: c.rule, targets: c.targets, inverseTemperature: c.inverse, logprobs: &logprobs,
                lse: &lse,
                entropy: &entropy)
            for (row, z) in c.logits(c.x.floats(), c.w.floats()).enumerated() {
                let top = z.max() ?? 0
                let total = z.reduce(0) { $0 + exp($1 - top) }
                let want = top + log(total)
                #expect(abs(Double(lse[row]) - want) < 1e-5 * max(1, abs(want)))
                #expect(abs(Double(logprobs[row]) - (z[Int(c.targets[row])] - want)) < 2e-5)
                let spread = z.reduce(0) { $0 - exp($1 - want) * ($1 - want) }
                #expect(abs(Double(entropy[row]) - spread) < 2e-5)
            }
            // Rows alone, in odd batches, on one thread: the same bits; and the sampler's logits agree.
            let headSingle = single.pack(c.w, as: type)
            for range in [0..<1, 5..<8, 3..<67, 0..<rows] {
                var (some, someLse) = ([Float](), [Float]())
                single.headLogprobs(
                    c.x.rows(range), head: headSingle, rule: c.rule, targets: Array(c.targets[range]),
                    inverseTemperature: Array(c.inverse[range]), logprobs: &some, lse: &someLse)
                #expect(some == Array(logprobs[range]) && someLse == Array(lse[range]), "\(range)")
                let logits = Tensor(rows: range.count, columns: vocabulary)
                let maxima = Tensor(rows: range.count, columns: head.panelCount)
                context.headLogits(
                    c.x.rows(range), head: head, rule: c.rule, inverseTemperature: Array(c.inverse[range]),
                    into: logits,
                    lse: &someLse, panelMaxima: maxima)
                #expect(someLse == Array(lse[range]))
                for (i, row) in range.enumerated() {
                    let z = logits.f32[i * vocabulary + Int(c.targets[row])]
                    #expect(z - someLse[i] == logprobs[row])
                    #expect(
                        maxima.rows(i..<i + 1).floats().max() == logits.rows(i..<i + 1).floats().max())
                }
            }
        }
    }

    @Test(arguments: ElementType.allCases)
    func gradientMatchesReference(type: ElementType) {
        for (vocabulary, rows, rule) in [(9000, 20, HeadRule())] + Self.rules.map({ (300, 70, $0) }) {
            let c = Case(type, rows: rows, vocabulary: vocabulary, columns: 40, rule: rule)
            var random = Random(2)
            let coefficient = random.floats(rows)
            var bits: [[UInt8]] = []
            for (threads, backend) in [(1, Backend.native), (2, .native), (2, .emulated), (2, .own("portable"))] {
                let context = backend.context(threads: threads)
                let head = context.pack(c.w, as: type)
                let transposed = context.packHeadTranspose(c.w, as: type)
                var (logprobs, lse) = ([Float](), [Float]())
                context.headLogprobs(
                    c.x, head: head, rule: c.rule, targets: c.targets, inverseTemperature: c.inverse,
                    logprobs: &logprobs,
                    lse: &lse)
                let dx = Tensor(rows: rows, columns: 40)
                let dW = Tensor(rows: vocabulary, columns: 40)
                dW.fill(0.25)
                context.headBackward(
                    c.x, head: head, transposed: transposed, rule: c.rule, targets: c.targets,
                    inverseTemperature: c.inverse,
                    lse: lse, coefficient: coefficient, dx: dx, dW: dW, accumulate: true)
                if bits.count < 2 { bits.append(dx.bits + dW.bits) }
                let (wantX, wantW) = Self.gradient(c, coefficient)
                let tolerance = type == .f32 ? 1e-5 : 1e-2
                #expect(relativeError(dx.floats(), wantX) < tolerance)
                #expect(relativeError(dW.floats().map { $0 - 0.25 }, wantW) < tolerance)
                // A second pack of other weights, repacked with these, gives the same.
                context.repack(c.w, into: transposed)
                let again = Tensor(rows: rows, columns: 40)
                context.headBackward(
                    c.x, head: head, transposed: transposed, rule: c.rule, targets: c.targets,
                    inverseTemperature: c.inverse,
                    lse: lse, coefficient: coefficient, dx: again, dW: nil)
                #expect(again.bits == dx.bits)
                // Written rather than added: whatever was there is gone.
                let written = Tensor(rows: vocabulary, columns: 40)
                written.fill(.nan)
                context.headBackward(
                    c.x, head: head, transposed: transposed, rule: c.rule, targets: c.targets,
                    inverseTemperature: c.inverse,
                    lse: lse, coefficient: coefficient, dx: again, dW: written)
                #expect(again.bits == dx.bits)
                #expect(relativeError(written.floats(), wantW) < tolerance, "\(backend), \(vocabulary)")
                // Kept logits give the same but for the rounding of a temperature.
                let kept = Tensor(rows: rows, columns: vocabulary)
                let (firstLogprobs, firstLse) = (logprobs, lse)
                context.headLogprobs(
                    c.x, head: head, rule: c.rule, targets: c.targets, inverseTemperature: c.inverse,
                    logprobs: &logprobs,
                    lse: &lse, keeping: kept)
                #expect(logprobs == firstLogprobs && lse == firstLse)
                context.headBackward(
                    c.x, head: head, transposed: transposed, rule: c.rule, targets: c.targets,
                    inverseTemperature: c.inverse,
                    lse: lse, coefficient: coefficient, kept: kept, dx: again, dW: written)
                #expect(relativeError(again.floats(), wantX) < tolerance)
                #expect(relativeError(written.floats(), wantW) < tolerance, "\(backend), \(vocabulary)")
            }
            #expect(bits[0] == bits[1])
        }
    }

    /// d sum(coefficient * logprob): dz = coefficient (onehot - p) inverse; dx = dz W, dW = dzᵀ x.
    static func gradient(_ c: Case, _ coefficient: [Float]) -> ([Double], [Double]) {
        let (x, w) = (c.x.floats(), c.w.floats())
        var dx = [Double](repeating: 0, count: x.count)
        var dW = [Double](repeating: 0, count: w.count)
        for (row, z) in c.logits(x, w).enumerated() {
            let top = z.max() ?? 0
            let total = z.reduce(0) { $0 + exp($1 - top) }
            for v in 0..<c.vocabulary {
                let p = exp(z[v] - top) / total
                let cap = Double(c.rule.softCap)
                let tanh = cap > 0 ? z[v] / Double(c.inverse[row]) / cap : 0
                let slope = Double(c.inverse[row]) * Double(c.rule.logitScale) * (1 - tanh * tanh)
                let d = Double(coefficient[row]) * slope * ((v == Int(c.targets[row]) ? 1 : 0) - p)
                for i in 0..<40 {
                    dx[row * 40 + i] += d * Double(w[v * 40 + i])
                    dW[v * 40 + i] += d * Double(x[row * 40 + i])
                }
            }
        }
        return (dx, dW)
    }
}
