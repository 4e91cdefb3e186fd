import Compute
import Rules
import Testing

/// Attention with what families add to it: windows, soft caps, scales, norms over whole projections, partial rotation
/// or none, and a factor on it.
@Suite struct AttentionRuleTests {
    static let sets = ComputeContext.availableInstructionSets

    /// Windows that end within a block, at its ends and past it; one key; a window longer than the sequence.
    static let windows = [1, 7, 63, 64, 65, 128, 1000]

    static func cases(_ type: ElementType, count: Int) -> [AttentionCase] {
        let wide = AttentionShape(heads: 6, keyValueHeads: 2, headDimension: 64)
        let narrow = AttentionShape(heads: 4, keyValueHeads: 4, headDimension: 24)
        let odd = AttentionShape(heads: 7, keyValueHeads: 1, headDimension: 40)
        return windows.map { window in
            AttentionCase(narrow, type, count: count, norms: window % 2 == 0, rule: AttentionRule(window: window))
        } + [
            AttentionCase(wide, type, count: count, norms: false, rule: AttentionRule(softCap: 3)),
            AttentionCase(odd, type, count: count, norms: true, rule: AttentionRule(window: 50, softCap: 1.5)),
            AttentionCase(wide, type, count: count, norms: false, rule: AttentionRule(window: 70, scale: 0.05)),
            AttentionCase(narrow, type, count: count, norms: true, wholeNorms: true),
            AttentionCase(odd, type, count: count, norms: true, wholeNorms: true, rotary: 0),
            AttentionCase(wide, type, count: count, norms: false, rotary: 48, factor: 1.19),
            AttentionCase(odd, type, count: count, norms: true, rule: AttentionRule(window: 9), rotary: 10),
            AttentionCase(wide, type, count: count, norms: true, rotary: 0),
        ]
    }

    @Test(arguments: sets, ElementType.allCases)
    func matchesReference(set: String, type: ElementType) {
        let context = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
        for layer in Self.cases(type, count: 140) {
            layer.expectReference(context, tolerance: type == .f32 ? 4e-6 : 2e-2)
        }
    }

    @Test(arguments: sets, ElementType.allCases)
    func bitsDoNotDependOnTheSplit(set: String, type: ElementType) {
        for layer in Self.cases(type, count: 150) { layer.expectBitsDoNotDependOnTheSplit(set: set) }
    }

    @Test(arguments: sets, ElementType.allCases)
    func nextTokensHaveTheBitsOfTheTwoPasses(set: String, type: ElementType) {
        for layer in Self.cases(type, count: 150) {
            let context = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
            let whole = layer.run(context, splits: [150])
            let positions = [0, 1, 8, 62, 63, 64, 65, 127, 128, 149]
            let qkv = Tensor(rows: positions.count, columns: layer.shape.fusedColumns, type: type)
            let out = Tensor(rows: positions.count, columns: layer.shape.queryColumns, type: type)
            // Every sequence shares the whole pages before its own position, and writes its key into a copy of its last.
            var segments: [Segment] = []
            for (row, position) in positions.enumerated() {
                context.convert(from: layer.qkv.rows(position..<position + 1), to: qkv.rows(row..<row + 1))
                let last = position / PagePool.pagePositions
                let pages = Array(whole.pages[..<last]) + [whole.pool.copy(whole.pages[last])]
                segments.append(Segment(firstRow: row, count: 1, startPosition: position, pages: pages))
            }
            context.attendNext(
                qkv: qkv, shape: layer.shape, qNorm: layer.qNorm, kNorm: layer.kNorm, epsilon: layer.epsilon,
                rope: layer.rope, rule: layer.rule, segments: segments, layer: 1, pool: whole.pool, into: out)
            for (row, position) in positions.enumerated() {
                #expect(
                    out.rows(row..<row + 1).bits == whole.out.rows(position..<position + 1).bits,
                    "\(layer.shape) \(layer.rule), position \(position)")
            }
        }
    }

    @Test(arguments: sets)
    func gradientMatchesFiniteDifferences(set: String) {
        for (index, layer) in Self.cases(.f32, count: 140).enumerated() {
            // Every case has its turn with the set that this machine uses.
            layer.expectGradient(
                set: set, isCompared: set == Self.sets.last || index % 4 == 0, elements: 6, weights: 2,
                tolerance: 3e-5, relative: 2e-4)
        }
    }

    /// A prompt that two responses continue, against the two sequences apart: the prompt's gradient is their sum.
    @Test(arguments: sets, ElementType.allCases)
    func sharedPromptsHaveTheGradientsOfSequencesApart(set: String, type: ElementType) {
        let context = ComputeContext(threads: 2, instructionSet: set, emulateBF16: nil)
        let shape = AttentionShape(heads: 4, keyValueHeads: 2, headDimension: 24)
        let (prompt, lengths) = (75, [70, 40])
        let columns = shape.fusedColumns
        for rule in [AttentionRule(), AttentionRule(window: 20), AttentionRule(window: 66, softCap: 2, scale: 0.3)] {
            let pool = PagePool(shape: shape, layers: 2, type: type, pageCount: 0)
            var random = Random(11)
            let rows = prompt + lengths.reduce(0, +)
            let qkv = random.tensor(rows, columns, type, scale: 2)
            let dOut = random.tensor(rows, shape.queryColumns, type)
            let rope = AttentionCase(shape, type, count: 150, norms: false).rope
            // All rows in one tree.
            let promptPages = AttentionCase.pages(pool, prompt)
            let first = Segment(firstRow: 0, count: prompt, startPosition: 0, pages: promptPages)
            let shared = Outcome(context, shape, rule, type, rows: rows)
            shared.forward(qkv, [first], pool, rope)
            var responses: [Segment] = []
            var at = prompt
            for length in lengths {
                let tail = pool.copy(promptPages[1])
                let pages = [promptPages[0], tail] + AttentionCase.pages(pool, prompt + length - 128)
                responses.append(Segment(firstRow: at, count: length, startPosition: prompt, pages: pages))
                at += length
            }
            shared.forward(qkv, responses, pool, rope)
            shared.backward(qkv, dOut, AttentionGroup(prompt: first, responses: responses), pool, rope)
            // Each sequence by itself.
            var promptSum = [Float](repeating: 0, count: prompt * columns)
            for response in responses {
                let sequence = Array(0..<Int32(prompt)) + (response.firstRow..<response.rows.upperBound).map(Int32.init)
                let apart = Outcome(context, shape, rule, type, rows: sequence.count)
                func gathered(_ source: Tensor, withPrompt: Bool = true) -> Tensor {
                    let wide = Tensor(rows: sequence.count, columns: source.columns)
                    context.embed(ids: sequence, table: source, into: wide)
                    // What flows into the prompt's own rows is counted with the first response alone.
                    if !withPrompt { wide.rows(0..<prompt).fill(0) }
                    return wide.converted(to: type)
                }
                let segment = Segment(
                    firstRow: 0, count: sequence.count, startPosition: 0,
                    pages: AttentionCase.pages(pool, sequence.count))
                let part = gathered(qkv)
                apart.forward(part, [segment], pool, rope)
                #expect(
                    apart.out.rows(prompt..<sequence.count).bits == shared.out.rows(response.rows).bits, "\(rule)")
                let isFirst = response.firstRow == prompt
                apart.backward(
                    part, gathered(dOut, withPrompt: isFirst), AttentionGroup(prompt: segment), pool, rope)
                let d = apart.d.floats()
                for i in promptSum.indices { promptSum[i] += d[i] }
                let own = shared.d.rows(response.rows).floats()
                #expect(
                    relativeError(own, Array(d[(prompt * columns)...])) < (type == .f32 ? 1e-6 : 1e-2), "\(rule)")
            }
            let got = shared.d.rows(0..<prompt).floats()
            #expect(relativeError(got, promptSum) < (type == .f32 ? 2e-6 : 2e-2), "\(rule)")
        }
    }

    /// One layer's results for the rows of a batch.
    struct Outcome {
        let context: ComputeContext
        let shape: AttentionShape
        let rule: AttentionRule
        let q: Tensor
        let out: Tensor
        let lse: Tensor
        let d: Tensor

        init(_ context: ComputeContext, _ shape: AttentionShape, _ rule: AttentionRule, _ type: ElementType, rows: Int)
        {
            self.context = context
            self.shape = shape
            self.rule = rule
            q = Tensor(rows: rows, columns: shape.queryColumns, type: type)
            out = Tensor(rows: rows, columns: shape.queryColumns, type: type)
            lse = Tensor(rows: rows, columns: shape.heads)
            d = Tensor(rows: rows, columns: shape.fusedColumns, type: type)
        }

        func forward(_ qkv: Tensor, _ segments: [Segment], _ pool: PagePool, _ rope: RopeTable?) {
            context.ropeAndCache(
                qkv: qkv, shape: shape, rope: rope, segments: segments, layer: 1, pool: pool, into: q)
            context.attention(
                q: q, shape: shape, rule: rule, segments: segments, layer: 1, pool: pool, into: out, logSumExp: lse)
        }

        func backward(
            _ qkv: Tensor, _ dOut: Tensor, _ group: AttentionGroup, _ pool: PagePool, _ rope: RopeTable?
        ) {
            context.attentionBackward(
                dOut: dOut, out: out, logSumExp: lse, qkv: qkv, q: q, shape: shape, rope: rope, rule: rule,
                groups: [group], layer: 1, pool: pool, into: d)
        }
    }
}
