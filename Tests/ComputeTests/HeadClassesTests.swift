import Compute
import Glibc
import Rules
import Testing

/// Classes of tokens that the head is asked about, against double precision.
@Suite struct HeadClassesTests {
    /// Rows that list none, one, some next to each other, the target, and all tokens.
    static func classes(_ c: HeadTests.Case) -> HeadClasses {
        var random = Random(7)
        return HeadClasses(
            rows: (0..<c.x.rows).map { row -> [Int32] in
                switch row % 5 {
                case 0: return []
                case 1: return [c.targets[row]]
                case 2: return [0, 1, 2, Int32(c.vocabulary - 1)]
                case 3 where c.vocabulary < 1000 && row == 3: return (0..<Int32(c.vocabulary)).map { $0 }
                default: return Set((0..<20).map { _ in Int32(random.int(below: c.vocabulary)) }).sorted()
                }
            })
    }

    /// Log-probabilities of a row's classes in double.
    static func logprobs(_ z: [Double], _ listed: some Collection<Int32>) -> [Double] {
        func logSum(_ values: [Double]) -> Double {
            guard let top = values.max() else { return -.infinity }
            return top + log(values.reduce(0) { $0 + exp($1 - top) })
        }
        let all = logSum(z), isListed = Set(listed.map(Int.init))
        return listed.map { z[Int($0)] - all } + [
            logSum(z.indices.filter { !isListed.contains($0) }.map { z[$0] }) - all
        ]
    }

    static let shapes = [(9000, 40, HeadRule())] + HeadTests.rules.map { (300, 70, $0) }

    @Test(arguments: ElementType.allCases, Backend.all)
    func classesMatchReferenceAndNeverDependOnTheBatch(type: ElementType, backend: Backend) {
        let context = backend.context(threads: 2), single = backend.context(threads: 1)
        for (vocabulary, rows, rule) in Self.shapes {
            let c = HeadTests.Case(type, rows: rows, vocabulary: vocabulary, columns: 40, rule: rule)
            let head = context.pack(c.w, as: type), headSingle = single.pack(c.w, as: type)
            var classes = Self.classes(c)
            var (logprobs, lse, plain, plainLse) = ([Float](), [Float](), [Float](), [Float]())
            let kept = Tensor(rows: rows, columns: vocabulary), plainKept = Tensor(rows: rows, columns: vocabulary)
            context.headLogprobs(
                c.x, head: head, rule: c.rule, targets: c.targets, inverseTemperature: c.inverse, logprobs: &logprobs,
                lse: &lse, keeping: kept, classes: &classes)
            context.headLogprobs(
                c.x, head: head, rule: c.rule, targets: c.targets, inverseTemperature: c.inverse, logprobs: &plain,
                lse: &plainLse, keeping: plainKept)
            // Being asked changes nothing else.
            #expect(logprobs == plain && lse == plainLse && kept.bits == plainKept.bits)
            for (row, z) in c.logits(c.x.floats(), c.w.floats()).enumerated() {
                let listed = classes.ids[classes.starts[row]..<classes.starts[row + 1]]
                for (got, want) in zip(classes.logprobs[classes.range(row: row)], Self.logprobs(z, listed)) {
                    #expect(Double(got) == want || abs(Double(got) - want) < 3e-5, "row \(row) of \(vocabulary)")
                }
            }
            for range in [0..<1, 2..<5, 3..<rows] {
                var part = HeadClasses(
                    rows: range.map { Array(classes.ids[classes.starts[$0]..<classes.starts[$0 + 1]]) })
                var (some, someLse) = ([Float](), [Float]())
                single.headLogprobs(
                    c.x.rows(range), head: headSingle, rule: c.rule, targets: Array(c.targets[range]),
                    inverseTemperature: Array(c.inverse[range]), logprobs: &some, lse: &someLse, classes: &part)
                #expect(
                    part.logprobs
                        == Array(
                            classes.logprobs[classes.range(row: range.lowerBound).lowerBound...]
                                .prefix(part.count)), "\(range)")
            }
        }
    }

    /// Asked of logits that were kept, at any time: the same bits, and logits that stay as they are.
    @Test(arguments: ElementType.allCases, Backend.all)
    func keptLogitsTellTheSame(type: ElementType, backend: Backend) {
        let context = backend.context(threads: 2)
        for (vocabulary, rows, rule) in Self.shapes {
            let c = HeadTests.Case(type, rows: rows, vocabulary: vocabulary, columns: 40, rule: rule)
            let head = context.pack(c.w, as: type)
            var asked = Self.classes(c), later = asked
            var (logprobs, lse, best) = ([Float](), [Float](), [Float]())
            let kept = Tensor(rows: rows, columns: vocabulary)
            context.headLogprobs(
                c.x, head: head, rule: c.rule, targets: c.targets, inverseTemperature: c.inverse, logprobs: &logprobs,
                lse: &lse, best: &best, keeping: kept, classes: &asked)
            let bits = kept.bits
            context.classLogprobs(of: kept, head: head, logSumExp: lse, classes: &later)
            #expect(later == asked && kept.bits == bits)
            for count in [1, 7, vocabulary] {
                let tops = context.topTokens(of: kept, head: head, count: count)
                #expect(tops.count == rows && kept.bits == bits)
                var classes = HeadClasses(rows: tops)
                context.classLogprobs(of: kept, head: head, logSumExp: lse, classes: &classes)
                for row in 0..<rows {
                    let own = classes.logprobs[classes.range(row: row)]
                    // What is listed first is what the head calls the best; nothing of the tail is above what is listed.
                    #expect(own.dropLast().max() == best[row] && tops[row].count == count)
                    let listed = Set(tops[row]), least = own.dropLast().min() ?? 0
                    for (id, logprob) in zip(
                        asked.ids[asked.starts[row]..<asked.starts[row + 1]], asked.logprobs[asked.range(row: row)])
                    where !listed.contains(id) { #expect(logprob <= least) }
                }
                if count == vocabulary { #expect(tops.allSatisfy { $0 == (0..<Int32(vocabulary)).map { $0 } }) }
            }
        }
    }

    /// dz of the classes' pulls and the targets' coefficients together, in double.
    @Test(arguments: ElementType.allCases) func pullsMatchReference(type: ElementType) {
        for (vocabulary, rows, rule) in Self.shapes {
            let c = HeadTests.Case(type, rows: rows, vocabulary: vocabulary, columns: 40, rule: rule)
            var random = Random(3)
            // Some rows have no coefficient, some no pulls.
            let coefficient = random.floats(rows).enumerated().map { $0.offset % 4 == 1 ? 0 : $0.element }
            var bits: [[UInt8]] = []
            for (threads, backend) in [(1, Backend.native), (2, .native), (2, .own("portable"))] {
                let context = backend.context(threads: threads)
                let head = context.pack(c.w, as: type), transposed = context.packHeadTranspose(c.w, as: type)
                let kept = Tensor(rows: rows, columns: vocabulary)
                for keeps in [false, true] {
                    var classes = Self.classes(c)
                    var (logprobs, lse) = ([Float](), [Float]())
                    context.headLogprobs(
                        c.x, head: head, rule: c.rule, targets: c.targets, inverseTemperature: c.inverse,
                        logprobs: &logprobs, lse: &lse, keeping: keeps ? kept : nil, classes: &classes)
                    var random = Random(4)
                    var pulls = random.floats(classes.count)
                    // The tail of a row that lists everything is empty: nothing pulls at it.
                    for row in 0..<rows where classes.range(row: row).count > vocabulary {
                        pulls[classes.range(row: row).upperBound - 1] = 0
                    }
                    let dx = Tensor(rows: rows, columns: 40), dW = Tensor(rows: vocabulary, columns: 40)
                    context.headBackward(
                        c.x, head: head, transposed: transposed, rule: c.rule, targets: c.targets,
                        inverseTemperature: c.inverse, lse: lse, coefficient: coefficient, kept: keeps ? kept : nil,
                        classes: HeadClassGradient(classes, pulls: pulls, targetLogprobs: logprobs), dx: dx, dW: dW)
                    let (wantX, wantW) = Self.gradient(c, coefficient, classes, pulls)
                    let tolerance = type == .f32 ? 2e-5 : 1e-2
                    #expect(relativeError(dx.floats(), wantX) < tolerance, "\(vocabulary) \(rule) \(keeps)")
                    #expect(relativeError(dW.floats(), wantW) < tolerance, "\(vocabulary) \(rule) \(keeps)")
                    if case .native = backend, !keeps { bits.append(dx.bits + dW.bits) }
                }
            }
            #expect(bits.count == 2 && bits[0] == bits[1])
        }
    }

    private static func gradient(
        _ c: HeadTests.Case, _ coefficient: [Float], _ classes: HeadClasses, _ pulls: [Float]
    ) -> ([Double], [Double]) {
        let (x, w) = (c.x.floats(), c.w.floats())
        var dx = [Double](repeating: 0, count: x.count), dW = [Double](repeating: 0, count: w.count)
        for (row, z) in c.logits(x, w).enumerated() {
            let listed = Array(classes.ids[classes.starts[row]..<classes.starts[row + 1]])
            let logprobs = Self.logprobs(z, listed), range = classes.range(row: row)
            let own = pulls[range].map(Double.init), all = Self.logprobs(z, (0..<Int32(c.vocabulary)).map { $0 })
            let sum = own.reduce(Double(coefficient[row]), +)
            for v in 0..<c.vocabulary {
                let p = exp(all[v])
                var d = -p * sum + (v == Int(c.targets[row]) ? Double(coefficient[row]) : 0)
                if let place = listed.firstIndex(of: Int32(v)) {
                    d += own[place]
                } else {
                    d += own[listed.count] * p / exp(logprobs[listed.count])
                }
                let cap = Double(c.rule.softCap)
                let tanh = cap > 0 ? z[v] / Double(c.inverse[row]) / cap : 0
                d *= Double(c.inverse[row]) * Double(c.rule.logitScale) * (1 - tanh * tanh)
                for i in 0..<40 {
                    dx[row * 40 + i] += d * Double(w[v * 40 + i])
                    dW[v * 40 + i] += d * Double(x[row * 40 + i])
                }
            }
        }
        return (dx, dW)
    }

    /// The most probable tokens have the bits that a trainer gives them, equal ones come in order, and the bound holds.
    @Test(arguments: ElementType.allCases, Backend.all) func topTokensAreTheHeads(type: ElementType, backend: Backend) {
        let context = backend.context(threads: 2)
        for (vocabulary, rows, limit) in [(9000, 70, 9000), (300, 70, 300), (300, 3, 170)] {
            let c = HeadTests.Case(type, rows: rows, vocabulary: vocabulary, columns: 40)
            // Twins: equal rows of the head have equal logits.
            for pair in [(2, 11), (40, 41), (150, 20)] {
                (c.w.bytes + pair.0 * 40 * type.byteCount)
                    .copyMemory(from: c.w.bytes + pair.1 * 40 * type.byteCount, byteCount: 40 * type.byteCount)
            }
            let head = context.pack(c.w, as: type), ones = [Float](repeating: 1, count: rows)
            for count in [1, 7, 64, min(limit, 200)] {
                let top = context.headTop(c.x, head: head, targets: c.targets, count: count, below: limit)
                var (logprobs, lse) = ([Float](), [Float]())
                var classes = HeadClasses(
                    rows: (0..<rows).map { Array(top.classes.ids[$0 * count..<($0 + 1) * count]) })
                context.headLogprobs(
                    c.x, head: head, targets: c.targets, inverseTemperature: ones, logprobs: &logprobs, lse: &lse,
                    classes: &classes)
                #expect(top.logprobs == logprobs && top.classes == classes)
                let logits = Tensor(rows: rows, columns: vocabulary)
                context.headLogits(c.x, head: head, inverseTemperature: ones, into: logits, lse: &lse)
                for row in 0..<rows {
                    let z = logits.rows(row..<row + 1).floats()
                    let best = (0..<limit).sorted { (z[$1], $0) < (z[$0], $1) }.prefix(count)
                    #expect(classes.ids[row * count..<(row + 1) * count].map(Int.init) == best.sorted(), "row \(row)")
                }
            }
        }
    }
}
