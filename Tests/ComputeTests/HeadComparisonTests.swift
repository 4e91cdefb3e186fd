import Compute
import Foundation
import Rules
import TestSupport
import Testing

/// Divergences over the whole vocabulary, against double precision.
@Suite struct HeadComparisonTests {
    static let divergences = HeadDivergence.Kind.allCases.flatMap { kind in
        [Float(0.1), 0.5, 0.9].prefix(kind == .reverseKL || kind == .forwardKL ? 1 : 3).map {
            HeadDivergence(kind, parameter: $0)
        }
    }

    /// What one token adds, as Distillation has it, and its pull.
    static func term(_ divergence: HeadDivergence, _ s: Double, _ t: Double) -> (value: Double, pull: Double) {
        let p = exp(s), q = exp(t), a = Double(divergence.parameter)
        switch divergence.kind {
        case .reverseKL: return (p * (s - t), p * (s - t))
        case .forwardKL: return (q * (t - s), p - q)
        case .jensenShannon:
            let m = log(a * q + (1 - a) * p)
            let own = (1 - a) * p * (s - m)
            return (a * q * (t - m) + own, own)
        case .skewKL:
            let excess = t - log(a * q + (1 - a) * p)
            return (q * excess, -(1 - a) * p * expm1(excess))
        case .skewReverseKL:
            let excess = s - log((1 - a) * q + a * p)
            return (p * excess, p * (excess - a * expm1(excess)))
        }
    }

    private static func logprobs(_ z: [Double]) -> [Double] {
        let top = z.max() ?? 0
        let sum = top + log(z.reduce(0) { $0 + exp($1 - top) })
        return z.map { $0 - sum }
    }

    @Test(arguments: divergences) func valuesAndGradientsMatchReference(divergence: HeadDivergence) {
        for (type, vocabulary, rows, rule) in [
            (ElementType.f32, 9000, 20, HeadRule()), (.bf16, 300, 70, HeadRule()),
            (.f32, 300, 70, HeadRule(logitScale: 0.4)), (.f32, 300, 70, HeadRule(logitScale: 0.7, softCap: 3)),
        ] {
            let c = HeadTests.Case(type, rows: rows, vocabulary: vocabulary, columns: 40, rule: rule)
            var random = Random(9)
            // A teacher of another width.
            let teacher = random.tensor(rows, 24, .bf16, scale: 2)
            let teacherHead = random.tensor(vocabulary, 24).converted(to: .bf16)
            let weights = random.floats(rows), own = random.floats(rows).map { $0 > 0 ? $0 : 0 }
            let teacherZ = product(
                teacher.floats(), teacherHead.floats(), m: rows, n: vocabulary, k: 24)
            var wantX = [Double](repeating: 0, count: rows * 40), wantW = [Double](repeating: 0, count: vocabulary * 40)
            var values: [Double] = []
            let (x, w) = (c.x.floats(), c.w.floats())
            for (row, z) in c.logits(x, w).enumerated() {
                let s = Self.logprobs(z), t = Self.logprobs(Array(teacherZ[row * vocabulary..<(row + 1) * vocabulary]))
                let terms = zip(s, t).map { Self.term(divergence, $0, $1) }
                values.append(terms.reduce(0) { $0 + $1.value })
                let sum = Double(weights[row]) * terms.reduce(0) { $0 + $1.pull } + Double(own[row])
                for v in 0..<vocabulary {
                    var d = Double(weights[row]) * terms[v].pull - exp(s[v]) * sum
                    if v == Int(c.targets[row]) { d += Double(own[row]) }
                    let cap = Double(rule.softCap), tanh = cap > 0 ? z[v] / Double(c.inverse[row]) / cap : 0
                    d *= Double(c.inverse[row]) * Double(rule.logitScale) * (1 - tanh * tanh)
                    for i in 0..<40 {
                        wantX[row * 40 + i] += d * Double(w[v * 40 + i])
                        wantW[v * 40 + i] += d * Double(x[row * 40 + i])
                    }
                }
            }
            var bits: [[UInt8]] = []
            for (threads, backend) in [(1, Backend.native), (2, .native), (2, .own("portable"))] {
                let context = backend.context(threads: threads)
                let head = context.pack(c.w, as: type), theirs = context.pack(teacherHead, as: .bf16)
                let kept = Tensor(rows: rows, columns: vocabulary),
                    theirLogits = Tensor(rows: rows, columns: vocabulary)
                var (logprobs, lse, theirLse) = ([Float](), [Float](), [Float]())
                context.headLogprobs(
                    c.x, head: head, rule: rule, targets: c.targets, inverseTemperature: c.inverse,
                    logprobs: &logprobs, lse: &lse, keeping: kept)
                context.headLogprobs(
                    teacher, head: theirs, targets: c.targets, inverseTemperature: [Float](repeating: 1, count: rows),
                    logprobs: &logprobs, lse: &theirLse, keeping: theirLogits)
                var comparison = HeadComparison(
                    divergence, student: kept, logSumExp: lse, teacher: theirLogits, teacherLogSumExp: theirLse,
                    head: head, in: context)
                comparison.weights = weights
                #expect(zip(comparison.values, values).allSatisfy { abs($0 - $1) < 1e-4 * max(1, $1) })
                let dx = Tensor(rows: rows, columns: 40), dW = Tensor(rows: vocabulary, columns: 40)
                context.headBackward(
                    c.x, head: head, transposed: context.packHeadTranspose(c.w, as: type), rule: rule,
                    targets: c.targets, inverseTemperature: c.inverse, lse: lse, coefficient: own, kept: kept,
                    comparison: comparison, dx: dx, dW: dW)
                let tolerance = type == .f32 ? 1e-4 : 1e-2
                #expect(relativeError(dx.floats(), wantX) < tolerance, "\(vocabulary) \(rule)")
                #expect(relativeError(dW.floats(), wantW) < tolerance, "\(vocabulary) \(rule)")
                if case .native = backend { bits.append(dx.bits + dW.bits) }
                // Compared with itself: nothing, to the last bit.
                var same = HeadComparison(
                    divergence, student: kept, logSumExp: lse, teacher: kept, teacherLogSumExp: lse, head: head,
                    in: context)
                same.weights = weights
                context.headBackward(
                    c.x, head: head, transposed: context.packHeadTranspose(c.w, as: type), rule: rule,
                    targets: c.targets, inverseTemperature: c.inverse, lse: lse,
                    coefficient: [Float](repeating: 0, count: rows), kept: kept, comparison: same, dx: dx, dW: dW)
                #expect(same.values.allSatisfy { $0 == 0 })
                #expect(dx.floats().allSatisfy { $0 == 0 } && dW.floats().allSatisfy { $0 == 0 })
            }
            #expect(bits[0] == bits[1])
        }
    }

    /// What torch says in f64, by its own differentiation (scripts/golden/divergences.py): heads that leave what they
    /// multiply as it is give its logits.
    @Test(arguments: Backend.all) func valuesAndGradientsAreTorchs(backend: Backend) throws {
        let positions = try GoldenDivergences.positions()
        let kinds: [String: HeadDivergence.Kind] = [
            "reverse_kl": .reverseKL, "forward_kl": .forwardKL, "jsd": .jensenShannon, "skew_kl": .skewKL,
            "skew_reverse_kl": .skewReverseKL,
        ]
        let context = backend.context(threads: 1)
        let count = 7, width = 16
        var unit = [Float](repeating: 0, count: count * width)
        for index in 0..<count { unit[index * width + index] = 1 }
        let weights = Tensor(floats: unit, rows: count, columns: width), head = context.pack(weights, as: .f32)
        let transposed = context.packHeadTranspose(weights, as: .f32)
        func logits(_ values: [Float]) -> (x: Tensor, z: Tensor, lse: [Float]) {
            let x = Tensor(
                floats: values + [Float](repeating: 0, count: width - count), rows: 1, columns: width)
            let z = Tensor(rows: 1, columns: count)
            var (logprobs, lse) = ([Float](), [Float]())
            context.headLogprobs(
                x, head: head, targets: [0], inverseTemperature: [1], logprobs: &logprobs, lse: &lse, keeping: z)
            return (x, z, lse)
        }
        var checked = 0
        for position in positions {
            let student = logits(position.student.map(Float.init)), teacher = logits(position.teacher.map(Float.init))
            for expected in position.divergences {
                let kind = try #require(kinds[expected.name])
                var comparison = HeadComparison(
                    HeadDivergence(kind, parameter: Float(expected.parameter)), student: student.z,
                    logSumExp: student.lse,
                    teacher: teacher.z, teacherLogSumExp: teacher.lse, head: head, in: context)
                let wanted = expected.full
                #expect(
                    abs(comparison.values[0] - wanted.value) < 2e-6 * max(1, abs(wanted.value)), "\(expected.name)")
                comparison.weights = [1]
                let dx = Tensor(rows: 1, columns: width)
                context.headBackward(
                    student.x, head: head, transposed: transposed, targets: [0], inverseTemperature: [1],
                    lse: student.lse, coefficient: [0], kept: student.z, comparison: comparison, dx: dx, dW: nil)
                let found = Array(dx.floats().prefix(count)), largest = wanted.gradient.map(abs).max() ?? 0
                let worst = zip(found, wanted.gradient).map { abs(Double($0) - $1) }.max() ?? 1
                let scale = max(1, largest, wanted.value)
                #expect(worst < 2e-6 * scale, "\(expected.name): \(found) and \(wanted.gradient)")
                checked += 1
            }
        }
        #expect(checked == 24)
    }
}
