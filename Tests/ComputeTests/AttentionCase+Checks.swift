import Compute
import Rules
import Testing

extension AttentionCase {
    func expectReference(_ context: ComputeContext, tolerance: Double) {
        let out = run(context, splits: [count]).out
        let want = reference(
            qkv.floats().map(Double.init), qNorm?.floats().map(Double.init), kNorm?.floats().map(Double.init))
        #expect(relativeError(out.floats(), want) < tolerance, "\(shape) \(rule)")
    }

    /// One query at a time, a whole prompt, and prompts split at and off the blocks' ends have the same bits: 150 rows.
    func expectBitsDoNotDependOnTheSplit(set: String) {
        let one = ComputeContext(threads: 1, instructionSet: set, emulateBF16: nil)
        let two = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
        let whole = run(two, splits: [150])
        for splits in [[Int](repeating: 1, count: 150), [37, 64, 1, 48], [64, 64, 22], [149, 1]] {
            let parts = run(one, splits: splits)
            #expect(parts.out.bits == whole.out.bits, "\(shape) \(rule) \(splits.count) parts")
            #expect(parts.lse.bits == whole.lse.bits)
            #expect(parts.q.bits == whole.q.bits)
        }
    }

    /// Gradients have the same bits with one and with two threads.
    /// - Parameters:
    ///   - isCompared: whether some of them are compared with finite differences of the reference, which is slow.
    ///   - elements: how many elements of the input are, and
    ///   - weights: how many of the norms' weights.
    ///   - tolerance: of a slope, beside that relative to it.
    func expectGradient(
        set: String, isCompared: Bool, elements: Int, weights: Int, tolerance: Double, relative: Double
    ) {
        var random = Random(9)
        let dOut = random.tensor(count, shape.queryColumns)
        let outer = dOut.floats().map(Double.init)
        let x = qkv.floats().map(Double.init)
        let (qn, kn) = (qNorm?.floats().map(Double.init), kNorm?.floats().map(Double.init))
        func loss(_ x: [Double], _ q: [Double]?, _ k: [Double]?) -> Double {
            zip(reference(x, q, k), outer).reduce(0) { $0 + $1.0 * $1.1 }
        }
        var bits: [[UInt8]] = []
        for threads in [1, 2] {
            let context = ComputeContext(threads: threads, instructionSet: set, emulateBF16: nil)
            let (d, dq, dk) = backward(context, dOut)
            bits.append(d.bits + (dq?.bits ?? []) + (dk?.bits ?? []))
            if threads == 2 || !isCompared { continue }
            for _ in 0..<elements {
                let i = random.int(below: x.count)
                let slope = RowKernelTests.slope(x, i) { loss($0, qn, kn) }
                #expect(
                    abs(Double(d.f32[i]) - slope) < tolerance + relative * abs(slope), "\(shape) \(rule) element \(i)")
            }
            guard let qn, let kn, let dq, let dk else { continue }
            for _ in 0..<weights {
                let (i, j) = (random.int(below: qn.count), random.int(below: kn.count))
                let forQ = RowKernelTests.slope(qn, i) { loss(x, $0, kn) }
                let forK = RowKernelTests.slope(kn, j) { loss(x, qn, $0) }
                #expect(abs(Double(dq.f32[i]) - forQ) < 1e-4 + relative * abs(forQ))
                #expect(abs(Double(dk.f32[j]) - forK) < 1e-4 + relative * abs(forK))
            }
        }
        #expect(bits[0] == bits[1], "threads change \(shape) \(rule)")
    }

    /// Gradients of the fused input and, where there are norms, of their weights.
    func backward(_ context: ComputeContext, _ dOut: Tensor) -> (Tensor, Tensor?, Tensor?) {
        let forward = run(context, splits: [count])
        let dqkv = Tensor(rows: count, columns: shape.fusedColumns, type: type)
        let dq = qNorm.map { Tensor(rows: 1, columns: $0.columns) }
        let dk = kNorm.map { Tensor(rows: 1, columns: $0.columns) }
        context.attentionBackward(
            dOut: dOut, out: forward.out, logSumExp: forward.lse, qkv: qkv, q: forward.q, shape: shape,
            qNorm: qNorm, kNorm: kNorm, epsilon: epsilon, rope: rope, rule: rule,
            groups: [
                AttentionGroup(
                    prompt: Segment(firstRow: 0, count: count, startPosition: 0, pages: forward.pages),
                    responses: [])
            ], layer: 1,
            pool: forward.pool, into: dqkv, dQNorm: dq, dKNorm: dk)
        return (dqkv, dq, dk)
    }
}
