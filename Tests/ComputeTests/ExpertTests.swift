import Compute
import Glibc
import Rules
import Testing

/// A mixture of experts against plain double precision.
@Suite struct ExpertTests {
    static let sets = ComputeContext.availableInstructionSets

    /// Inputs and weights, which activations and matrices of either type hold as they are.
    struct Case {
        let rule: ExpertRule
        let rows = 37, columns = 24, width = 16, count = 5
        let x: Tensor
        let logits: Tensor
        let gateUp: [Tensor]
        let down: [Tensor]

        init(_ rule: ExpertRule, _ type: ElementType) {
            var random = Random(3)
            self.rule = rule
            let (width, columns, count) = (self.width, self.columns, self.count)
            x = random.tensor(rows, columns, type)
            logits = random.tensor(rows, count, scale: 2)
            gateUp = (0..<count).map { _ in random.tensor(2 * width, columns).converted(to: type) }
            down = (0..<count).map { _ in random.tensor(columns, width).converted(to: type) }
        }

        func matrices(_ context: ComputeContext, transposed: Bool = false) -> [ExpertMatrices] {
            zip(gateUp, down).map {
                ExpertMatrices(
                    gateUp: context.pack($0, as: x.type, transposed: transposed),
                    down: context.pack($1, as: x.type, transposed: transposed))
            }
        }

        func reference(_ x: [Double], _ z: [Double], _ gateUp: [[Double]], _ down: [[Double]]) -> [Double] {
            var y = [Double](repeating: 0, count: rows * columns)
            for row in 0..<rows {
                let exponentials = z[row * count..<(row + 1) * count].map { exp($0) }
                let p = exponentials.map { $0 / exponentials.reduce(0, +) }
                let chosen = p.indices.sorted { p[$0] > p[$1] }.prefix(rule.perRow)
                let sum = rule.normalizesChosen ? chosen.reduce(0) { $0 + p[$1] } : 1
                for e in chosen {
                    let both = (0..<2 * width).map { i in
                        (0..<columns).reduce(0.0) { $0 + gateUp[e][i * columns + $1] * x[row * columns + $1] }
                    }
                    let h = (0..<width).map { both[$0] / (1 + exp(-both[$0])) * both[width + $0] }
                    for c in 0..<columns {
                        y[row * columns + c] +=
                            p[e] / sum * (0..<width).reduce(0.0) { $0 + down[e][c * width + $1] * h[$1] }
                    }
                }
            }
            return y
        }

        var values: (x: [Double], z: [Double], gateUp: [[Double]], down: [[Double]]) {
            (
                x.floats().map(Double.init), logits.floats().map(Double.init),
                gateUp.map { $0.floats().map(Double.init) }, down.map { $0.floats().map(Double.init) }
            )
        }
    }

    static let rules = [
        ExpertRule(perRow: 2, normalizesChosen: true), ExpertRule(perRow: 3, normalizesChosen: false),
        ExpertRule(perRow: 1, normalizesChosen: true), ExpertRule(perRow: 5, normalizesChosen: false),
    ]

    @Test(arguments: sets, ElementType.allCases)
    func matchesReferenceWhateverTheBatch(set: String, type: ElementType) {
        for rule in Self.rules {
            let c = Case(rule, type)
            let context = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
            let experts = c.matrices(context)
            let y = Tensor(rows: c.rows, columns: c.columns)
            context.expertForward(c.x, logits: c.logits, experts: experts, rule: rule, into: y)
            let v = c.values
            let want = c.reference(v.x, v.z, v.gateUp, v.down)
            #expect(relativeError(y.floats(), want) < (type == .f32 ? 2e-6 : 2e-2), "\(rule)")
            let single = ComputeContext(threads: 1, instructionSet: set, emulateBF16: nil)
            let others = c.matrices(single)
            for range in [0..<1, 5..<8, 3..<37] {
                let some = Tensor(rows: range.count, columns: c.columns)
                single.expertForward(
                    c.x.rows(range), logits: c.logits.rows(range), experts: others, rule: rule, into: some)
                #expect(some.bits == y.rows(range).bits, "\(rule) \(range)")
            }
        }
    }

    @Test(arguments: sets)
    func gradientsMatchFiniteDifferences(set: String) {
        for rule in Self.rules {
            let c = Case(rule, .f32)
            var random = Random(4)
            let dy = random.tensor(c.rows, c.columns)
            let d = dy.floats().map(Double.init)
            let v = c.values
            func loss(_ y: [Double]) -> Double { zip(y, d).reduce(0) { $0 + $1.0 * $1.1 } }
            var bits: [[UInt8]] = []
            for threads in [1, 2] {
                let context = ComputeContext(threads: threads, instructionSet: set, emulateBF16: nil)
                let dx = Tensor(rows: c.rows, columns: c.columns)
                let dLogits = Tensor(rows: c.rows, columns: c.count)
                let dGateUp = c.gateUp.map { Tensor(rows: $0.rows, columns: $0.columns) }
                let dDown = c.down.map { Tensor(rows: $0.rows, columns: $0.columns) }
                context.expertBackward(
                    dy: dy, x: c.x, logits: c.logits, experts: c.matrices(context),
                    transposed: c.matrices(context, transposed: true), rule: rule, dx: dx, dLogits: dLogits,
                    accumulate: false, gradients: { (dGateUp[$0], dDown[$0]) })
                bits.append(([dx, dLogits] + dGateUp + dDown).flatMap(\.bits))
                if threads == 2 { continue }
                func expect(_ got: Float, _ want: Double, _ what: String) {
                    #expect(abs(Double(got) - want) < 2e-5 + 1e-4 * abs(want), "\(rule) \(what)")
                }
                for i in stride(from: 0, to: v.x.count, by: 211) {
                    let want = RowKernelTests.slope(v.x, i) { loss(c.reference($0, v.z, v.gateUp, v.down)) }
                    expect(dx.f32[i], want, "x \(i)")
                }
                for i in stride(from: 0, to: v.z.count, by: 17) {
                    let want = RowKernelTests.slope(v.z, i) { loss(c.reference(v.x, $0, v.gateUp, v.down)) }
                    expect(dLogits.f32[i], want, "logit \(i)")
                }
                for expert in 0..<c.count {
                    let i = random.int(below: v.down[expert].count)
                    let forDown = RowKernelTests.slope(v.down[expert], i) { changed in
                        var down = v.down
                        down[expert] = changed
                        return loss(c.reference(v.x, v.z, v.gateUp, down))
                    }
                    expect(dDown[expert].f32[i], forDown, "down \(expert)")
                    let forGateUp = RowKernelTests.slope(v.gateUp[expert], i) { changed in
                        var gateUp = v.gateUp
                        gateUp[expert] = changed
                        return loss(c.reference(v.x, v.z, gateUp, v.down))
                    }
                    expect(dGateUp[expert].f32[i], forGateUp, "gate and up \(expert)")
                }
            }
            #expect(bits[0] == bits[1], "threads change \(rule)")
        }
    }

    /// An expert that no row chooses: its gradient is written as zero, or kept.
    @Test func expertsWithoutRows() {
        let c = Case(ExpertRule(perRow: 1, normalizesChosen: true), .f32)
        let context = ComputeContext(threads: 2)
        let logits = Tensor(rows: c.rows, columns: c.count)
        for row in 0..<c.rows { logits.f32[row * c.count + 2] = 3 }
        for accumulate in [false, true] {
            let dGateUp = c.gateUp.map { Tensor(rows: $0.rows, columns: $0.columns) }
            let dDown = c.down.map { Tensor(rows: $0.rows, columns: $0.columns) }
            for tensor in dGateUp + dDown { tensor.fill(7) }
            context.expertBackward(
                dy: Case(c.rule, .f32).x, x: c.x, logits: logits, experts: c.matrices(context),
                transposed: c.matrices(context, transposed: true), rule: c.rule,
                dx: Tensor(rows: c.rows, columns: c.columns), dLogits: Tensor(rows: c.rows, columns: c.count),
                accumulate: accumulate, gradients: { (dGateUp[$0], dDown[$0]) })
            for expert in [0, 1, 3, 4] {
                #expect(dDown[expert].floats().allSatisfy { $0 == (accumulate ? 7 : 0) })
                #expect(dGateUp[expert].floats().allSatisfy { $0 == (accumulate ? 7 : 0) })
            }
            #expect(dDown[2].floats().contains { $0 != 7 && $0 != 0 })
        }
    }
}
