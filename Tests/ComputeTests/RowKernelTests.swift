import Compute
import Glibc
import Rules
import Testing

/// Each row kernel against plain Swift, for every instruction set this CPU has.
@Suite struct RowKernelTests {
    static let sets = ComputeContext.availableInstructionSets

    static func context(_ set: String, threads: Int = 2) -> ComputeContext {
        ComputeContext(threads: threads, instructionSet: set, emulateBF16: nil)
    }

    @Test(arguments: sets)
    func exponential(set: String) {
        let kernels = Self.context(set, threads: 1).kernels
        var random = Random(1)
        var x = random.floats(5000, scale: 87) + [0, -0.0, 88, -87, -88, -1000, -3e38, 1e-30]
        if x.count % 2 == 0 { x.append(1) }
        var y = [Float](repeating: 0, count: x.count)
        kernels.exp(&y, x, Int64(x.count))
        for (a, b) in zip(x, y) {
            let want = Double(a) < -87.3 ? 0 : exp(Double(a))
            #expect(abs(Double(b) - want) <= want * 1.5e-7 + 1e-45, "exp(\(a))")
        }
    }

    @Test(arguments: sets)
    func conversions(set: String) {
        let context = Self.context(set)
        // Ties to even both ways, overflow to infinity, NaN, zeros, a subnormal.
        let special: [(UInt32, UInt16)] = [
            (0x3F80_8000, 0x3F80), (0x3F81_8000, 0x3F82), (0x3F80_8001, 0x3F81), (0x7F7F_FFFF, 0x7F80),
            (0x8000_0000, 0x8000), (0x7F80_0000, 0x7F80), (0xFFFF_FFFF, 0x7FC0), (0x0001_8000, 0x0002),
        ]
        for padding in [0, 5, 13] {
            let floats = special.map { Float(bitPattern: $0.0) } + [Float](repeating: 2, count: padding)
            let from = Tensor(rows: 1, columns: floats.count)
            for (i, f) in floats.enumerated() { from.f32[i] = f }
            let to = Tensor(rows: 1, columns: floats.count, type: .bf16)
            context.convert(from: from, to: to)
            for (i, pair) in special.enumerated() { #expect(to.bf16[i] == pair.1, "\(i)") }
            let back = Tensor(rows: 1, columns: floats.count)
            context.convert(from: to, to: back)
            #expect(back.f32[1] == Float(bitPattern: 0x3F82_0000))
        }
    }

    /// Every length of a last, partial vector, in both directions, and nothing beyond it.
    @Test(arguments: sets)
    func partialVectors(set: String) {
        let kernels = Self.context(set, threads: 1).kernels
        for count in 1...33 {
            let narrow = (0..<count).map { UInt16(0x3F80 + $0) } + [0x1234]
            var wide = [Float](repeating: -7, count: count + 1)
            kernels.convert(&wide, ElementType.f32.code, narrow, ElementType.bf16.code, Int64(count))
            #expect(wide == narrow.dropLast().map { Float(bitPattern: UInt32($0) << 16) } + [-7], "\(count)")
            var back = [UInt16](repeating: 0x4321, count: count + 1)
            kernels.convert(&back, ElementType.bf16.code, wide, ElementType.f32.code, Int64(count))
            #expect(back == narrow.dropLast() + [0x4321], "\(count)")
            var sum = wide
            kernels.add(&sum, wide, Int64(count))
            #expect(sum == wide.dropLast().map { 2 * $0 } + [-7], "\(count)")
        }
    }

    @Test(arguments: sets, ElementType.allCases)
    func rmsNorm(set: String, type: ElementType) {
        let context = Self.context(set)
        var random = Random(2)
        for columns in [8, 40, 48, 300, 576] {
            let x = random.tensor(35, columns)
            let w = random.tensor(1, columns)
            let y = Tensor(rows: 35, columns: columns, type: type)
            context.rmsNorm(x, weight: w, epsilon: 1e-5, into: y)
            let want = Self.rmsNorm(x.floats().map(Double.init), w.floats().map(Double.init), columns)
            #expect(relativeError(y.floats(), want) < (type == .f32 ? 1e-6 : 4e-3))
            let alone = Tensor(rows: 1, columns: columns, type: type)
            context.rmsNorm(x.rows(17..<18), weight: w, epsilon: 1e-5, into: alone)
            #expect(alone.bits == y.rows(17..<18).bits)
        }
    }

    static func rmsNorm(_ x: [Double], _ w: [Double], _ columns: Int) -> [Double] {
        var y = x
        for row in 0..<x.count / columns {
            let part = x[row * columns..<(row + 1) * columns]
            let r = 1 / (part.reduce(0) { $0 + $1 * $1 } / Double(columns) + 1e-5).squareRoot()
            for i in 0..<columns { y[row * columns + i] = x[row * columns + i] * r * w[i] }
        }
        return y
    }

    @Test(arguments: sets)
    func rmsNormGradient(set: String) {
        let columns = 40
        let rows = 70
        var random = Random(3)
        let x = random.tensor(rows, columns)
        let w = random.tensor(1, columns)
        let dy = random.tensor(rows, columns)
        let before = random.tensor(rows, columns)
        var bits: [[UInt8]] = []
        for threads in [1, 2] {
            let dx = before.copy()
            let dw = Tensor(rows: 1, columns: columns)
            let context = Self.context(set, threads: threads)
            context.rmsNormBackward(dy: dy, x: x, weight: w, epsilon: 1e-5, dx: dx, dWeight: dw)
            bits.append(dx.bits + dw.bits)
            if threads == 2 { continue }
            let (xd, wd) = (x.floats().map(Double.init), w.floats().map(Double.init))
            let d = dy.floats().map(Double.init)
            func loss(_ x: [Double], _ w: [Double]) -> Double {
                zip(Self.rmsNorm(x, w, columns), d).reduce(0) { $0 + $1.0 * $1.1 }
            }
            for i in stride(from: 0, to: rows * columns, by: 97) {
                let slope = Self.slope(xd, i) { loss($0, wd) }
                #expect(abs(Double(dx.f32[i] - before.f32[i]) - slope) < 1e-5 + 1e-5 * abs(slope))
            }
            for i in 0..<columns {
                let slope = Self.slope(wd, i) { loss(xd, $0) }
                #expect(abs(Double(dw.f32[i]) - slope) < 1e-4)
            }
        }
        #expect(bits[0] == bits[1])
    }

    /// Central difference.
    static func slope(_ x: [Double], _ i: Int, _ f: ([Double]) -> Double) -> Double {
        var (up, down) = (x, x)
        up[i] += 1e-5
        down[i] -= 1e-5
        return (f(up) - f(down)) / 2e-5
    }

    /// tanh in its polynomial and its exponential range, at their border and past saturation; in f32 arithmetic.
    @Test(arguments: sets)
    func softCaps(set: String) {
        let kernels = Self.context(set, threads: 1).kernels
        var random = Random(7)
        let x = random.floats(3001, scale: 1) + random.floats(1000, scale: 12) + [0.625, -0.625, 0, 1e-20, 90, -1e30]
        for cap in [Float(1), 30] {
            var y = x
            kernels.panel_cap(&y, Int64(x.count), Int64(x.count), 1.5, cap, 1)
            for (a, b) in zip(x, y) {
                let want = Double(cap) * tanh(Double(a * 1.5 / cap))
                #expect(abs(Double(b) - want) <= abs(want) * 4e-7, "\(a)")
            }
            // Alone as within vectors.
            for index in [0, 17, 2998, 4001, 4006] {
                var one = x[index]
                kernels.panel_cap(&one, 1, 1, 1.5, cap, 1)
                #expect(one.bitPattern == y[index].bitPattern)
            }
        }
    }

    @Test(arguments: sets)
    func scaledSumsAndNormsBeforeTheResidual(set: String) {
        let context = Self.context(set)
        var random = Random(8)
        for columns in [8, 40, 300] {
            let (x, y, w) = (random.tensor(35, columns), random.tensor(35, columns), random.tensor(1, columns))
            let sum = y.copy()
            context.add(x, times: 0.3, to: sum)
            #expect(sum.floats() == zip(y.floats(), x.floats()).map { $0 + $1 * 0.3 })
            let scaled = x.copy()
            context.scale(scaled, by: 7.5)
            #expect(scaled.floats() == x.floats().map { $0 * 7.5 })
            let normed = Tensor(rows: 35, columns: columns)
            context.rmsNorm(x, weight: w, epsilon: 1e-5, into: normed)
            let added = y.copy()
            context.addRMSNorm(x, weight: w, epsilon: 1e-5, to: added)
            #expect(added.floats() == zip(y.floats(), normed.floats()).map { $0 + $1 })
            let alone = y.rows(17..<18).copy()
            context.addRMSNorm(x.rows(17..<18), weight: w, epsilon: 1e-5, to: alone)
            #expect(alone.bits == added.rows(17..<18).bits)
        }
    }

    @Test(arguments: sets, ElementType.allCases)
    func gatedActivationsAndGradients(set: String, type: ElementType) {
        let context = Self.context(set)
        var random = Random(4)
        let functions: [(GateActivation, (Double) -> Double)] = [
            (.silu, { $0 / (1 + exp(-$0)) }),
            (.geluTanh, { $0 / 2 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }),
        ]
        for (activation, function) in functions {
            for width in [8, 40, 104] {
                let gateUp = random.tensor(37, 2 * width, type, scale: 4)
                let dh = random.tensor(37, width)
                let h = Tensor(rows: 37, columns: width, type: type)
                let d = Tensor(rows: 37, columns: 2 * width, type: type)
                context.gatedActivation(gateUp, activation, into: h)
                context.gatedActivationBackward(dh: dh, gateUp: gateUp, activation, into: d)
                let g = gateUp.floats().map(Double.init)
                func value(_ g: Double, _ u: Double) -> Double { function(g) * u }
                var want: [Double] = []
                var gradient: [Double] = []
                for row in 0..<37 {
                    let base = 2 * row * width
                    for i in 0..<width { want.append(value(g[base + i], g[base + width + i])) }
                    for part in 0..<2 {
                        for i in 0..<width {
                            let (a, u, e) = (g[base + i], g[base + width + i], 1e-6)
                            let slope =
                                part == 0
                                ? (value(a + e, u) - value(a - e, u)) / (2 * e)
                                : (value(a, u + e) - value(a, u - e)) / (2 * e)
                            gradient.append(slope * Double(dh.f32[row * width + i]))
                        }
                    }
                }
                let tolerance = type == .f32 ? 1e-6 : 4e-3
                #expect(relativeError(h.floats(), want) < tolerance)
                #expect(relativeError(d.floats(), gradient) < tolerance)
                let narrow = Tensor(rows: 37, columns: 2 * width, type: type)
                context.gatedActivationBackward(dh: dh.converted(to: type), gateUp: gateUp, activation, into: narrow)
                #expect(relativeError(narrow.floats(), gradient) < 2 * tolerance)
                let alone = Tensor(rows: 1, columns: width, type: type)
                context.gatedActivation(gateUp.rows(17..<18), activation, into: alone)
                #expect(alone.bits == h.rows(17..<18).bits)
            }
        }
    }

    @Test(arguments: sets, ElementType.allCases)
    func embeddingBiasAndSums(set: String, type: ElementType) {
        let context = Self.context(set)
        var random = Random(5)
        let table = random.tensor(11, 72, type)
        let ids = (0..<150).map { _ in Int32(random.int(below: 11)) }
        let x = Tensor(rows: 150, columns: 72)
        context.embed(ids: ids, table: table, into: x)
        let t = table.floats()
        #expect(x.floats() == ids.flatMap { t[Int($0) * 72..<(Int($0) + 1) * 72] })

        let d = Tensor(rows: 11, columns: 72)
        d.fill(1)
        context.embedBackward(ids: ids, dx: x, into: d)
        var want = [Float](repeating: 1, count: 11 * 72)
        for id in ids { for c in 0..<72 { want[Int(id) * 72 + c] += t[Int(id) * 72 + c] } }
        #expect(d.floats() == want)

        let bias = random.tensor(1, 72)
        let y = random.tensor(150, 72, type)
        let before = y.floats()
        context.addBias(bias, to: y)
        let sum = zip(before, 0...).map { $0 + bias.f32[$1 % 72] }
        #expect(y.floats() == Tensor(floats: sum, rows: 150, columns: 72).converted(to: type).floats())

        let db = Tensor(rows: 1, columns: 72)
        db.fill(0.5)
        context.accumulateColumnSums(y, into: db)
        var sums = [Float](repeating: 0.5, count: 72)
        for (i, v) in y.floats().enumerated() { sums[i % 72] += v }
        #expect(db.floats() == sums)
    }

    @Test(arguments: sets)
    func optimizer(set: String) {
        let count = 1003
        var random = Random(6)
        let start = random.floats(count)
        let p = Tensor(floats: start, rows: 1, columns: count)
        let m = Tensor(rows: 1, columns: count)
        let v = Tensor(rows: 1, columns: count)
        var want = start.map(Double.init)
        var (wm, wv) = ([Double](repeating: 0, count: count), [Double](repeating: 0, count: count))
        let context = Self.context(set)
        for step in 1...3 {
            let g = random.tensor(1, count)
            let squares = context.adamW(
                parameters: p, gradients: g, m: m, v: v, learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8,
                weightDecay: 0.1, step: step, gradientScale: 0.5)
            #expect(squares == context.sumOfSquares(p))
            for i in 0..<count {
                let gi = Double(g.f32[i]) * 0.5
                wm[i] = 0.9 * wm[i] + 0.1 * gi
                wv[i] = 0.99 * wv[i] + 0.01 * gi * gi
                let mh = wm[i] / (1 - pow(0.9, Double(step)))
                let vh = wv[i] / (1 - pow(0.99, Double(step)))
                want[i] = want[i] * (1 - 0.01 * 0.1) - 0.01 * mh / (vh.squareRoot() + 1e-8)
            }
        }
        #expect(relativeError(p.floats(), want) < 1e-5)
        let big = random.tensor(3, 70_001)
        let sum = big.floats().reduce(0.0) { $0 + Double($1) * Double($1) }
        let got = context.sumOfSquares(big)
        #expect(abs(got - sum) < 1e-9 * sum)
        #expect(got == Self.context(set, threads: 1).sumOfSquares(big))
    }

    /// Bit for bit what plain Swift computes, at every tail, with any number of threads; and decay t + (1 - decay) w.
    @Test(arguments: sets, [1, 2])
    func averages(set: String, threads: Int) {
        let context = Self.context(set, threads: threads)
        var random = Random(7)
        for count in [1, 15, 16, 17, 1003, 70_001] {
            for decay in [0.5, 0.999, 0.9999999, 1e-3] {
                let average = random.tensor(1, count), weights = random.tensor(1, count)
                let share = Float(1 - decay), start = average.floats()
                let want = zip(start, weights.floats()).map { $0 + share * ($1 - $0) }
                let exact = zip(start, weights.floats()).map { decay * Double($0) + (1 - decay) * Double($1) }
                context.moveAverage(average, towards: weights, decay: decay)
                #expect(average.floats().map(\.bitPattern) == want.map(\.bitPattern), "\(count), \(decay)")
                #expect(relativeError(average.floats(), exact) < 5e-7)
            }
        }
        // What has arrived stays there.
        let average = random.tensor(1, 33), weights = average.copy()
        context.moveAverage(average, towards: weights, decay: 0.9)
        #expect(average.bits == weights.bits)
    }
}
