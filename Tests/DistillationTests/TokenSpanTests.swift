import Distillation
import Randomness
import TestSupport
import Testing
import Tokens

/// Responses that two tokenizers cut otherwise, and what a teacher's grades say of the student's tokens.
@Suite struct TokenSpanTests {
    /// Cuts wherever both have summed up to the same number of bytes: the definition, in quadratic time.
    private static func reference(_ lengths: [Int], _ others: [Int]) -> [TokenSpan] {
        var spans: [TokenSpan] = [], here = 0, there = 0
        search: while here < lengths.count, there < others.count {
            for count in 1...lengths.count - here {
                for other in 1...others.count - there
                where lengths[here..<here + count].reduce(0, +) == others[there..<there + other].reduce(0, +) {
                    spans.append(TokenSpan(count: count, otherCount: other))
                    (here, there) = (here + count, there + other)
                    continue search
                }
            }
            break
        }
        guard here < lengths.count || there < others.count else { return spans }
        return spans
            + [TokenSpan(count: lengths.count - here, otherCount: others.count - there, isComparable: false)]
    }

    /// Lengths of pieces that some bytes are cut into.
    private static func cut(_ bytes: Int, _ random: inout SeededRandom) -> [Int] {
        var left = bytes, lengths: [Int] = []
        while left > 0 {
            lengths.append(1 + Int(random.next() % UInt64(min(left, 5))))
            left -= lengths[lengths.count - 1]
        }
        return lengths
    }

    @Test func spansAreCutWhereBothEndTogether() {
        var random = SeededRandom(seed: 3)
        for bytes in 0..<200 {
            let lengths = Self.cut(bytes % 40, &random)
            // Some of them are cut off, or longer.
            let others = Self.cut(max(0, bytes % 40 + (bytes % 7 == 0 ? bytes % 3 - 1 : 0)), &random)
            let spans = TokenSpan.aligned(lengths, others)
            #expect(spans == Self.reference(lengths, others), "\(lengths) \(others)")
            #expect(spans.reduce(0) { $0 + $1.count } == lengths.count)
            #expect(spans.reduce(0) { $0 + $1.otherCount } == others.count)
            #expect(TokenSpan.aligned(lengths, lengths).allSatisfy { $0.isOneToOne })
        }
    }

    @Test func tokensWithoutBytesBelongToTheSpanThatTheyBegin() {
        #expect(
            TokenSpan.aligned([0, 3], [3]) == [TokenSpan(count: 2, otherCount: 1)])
        #expect(
            TokenSpan.aligned([3, 0], [3])
                == [
                    TokenSpan(count: 1, otherCount: 1), TokenSpan(count: 1, otherCount: 0, isComparable: false),
                ])
        #expect(TokenSpan.aligned([], [2]) == [TokenSpan(count: 0, otherCount: 1, isComparable: false)])
    }

    @Test func aCutOffEndSaysNothingUnlessItIsOneToken() {
        var open = RetokenizedResponse(
            ids: [1, 2, 3], spans: [TokenSpan(count: 1, otherCount: 1), TokenSpan(count: 1, otherCount: 2)])
        open.leaveOpen()
        #expect(open.spans.map(\.isComparable) == [true, false])
        var one = RetokenizedResponse(ids: [1], spans: [TokenSpan(count: 1, otherCount: 1)])
        one.leaveOpen()
        #expect(one.spans.map(\.isComparable) == [true])
    }

    @Test func whatHasNoRoomIsLeftOutInWholeSpans() {
        let spans = [
            TokenSpan(count: 1, otherCount: 2), TokenSpan(count: 2, otherCount: 3), TokenSpan(count: 1, otherCount: 1),
        ]
        let whole = RetokenizedResponse(ids: [1, 2, 3, 4, 5, 6], spans: spans)
        for (room, kept) in [(9, 6), (6, 6), (5, 5), (4, 2), (2, 2), (1, 0), (0, 0), (-3, 0)] {
            var fitted = whole
            fitted.fit(in: room)
            #expect(fitted.ids == Array(whole.ids.prefix(kept)), "\(room)")
            #expect(fitted.spans.map(\.count) == spans.map(\.count))
            #expect(fitted.spans.reduce(0) { $0 + $1.otherCount } == kept)
        }
    }

    // MARK: Grades

    @Test func aSpansDivergenceIsItsTokensTogether() {
        var random = SeededRandom(seed: 4)
        for round in 0..<300 {
            let bytes = 1 + round % 30
            let lengths = Self.cut(bytes, &random), others = Self.cut(bytes, &random)
            var spans = TokenSpan.aligned(lengths, others)
            if round % 5 == 0 { spans[spans.count - 1].isComparable = false }
            let b = lengths.map { _ in -Float(random.next() % 4096) / 512 }
            let t = others.map { _ in -Float(random.next() % 4096) / 512 }
            let grade = Grade(retokenized: t, over: spans, behaviour: b)
            var here = 0, there = 0
            for span in spans {
                let range = here..<here + span.count, other = there..<there + span.otherCount
                (here, there) = (range.upperBound, other.upperBound)
                let told = grade.logprobs[range], comparisons = Set(grade.comparisons?[range] ?? [])
                if !span.isComparable {
                    #expect(Array(told) == Array(b[range]) && comparisons == [.none])
                } else if span.isOneToOne {
                    #expect(told.first?.bitPattern == t[there - 1].bitPattern && comparisons == [.own])
                } else {
                    let sum = told.reduce(0) { $0 + Double($1) }, whole = t[other].reduce(0) { $0 + Double($1) }
                    #expect(abs(sum - whole) <= 1e-5 * max(1, abs(whole)) && comparisons == [.shared])
                    #expect(told.allSatisfy { $0 <= 0 })
                }
            }
        }
    }

    @Test func aSpansDivergenceIsGivenWhereTheStudentChose() {
        let span = [TokenSpan(count: 3, otherCount: 1)]
        let grade = Grade(retokenized: [-4], over: span, behaviour: [-1, 0, -1])
        #expect(grade.logprobs == [-2, 0, -2])
        // A student that was sure of everything leaves nothing to go by.
        #expect(Grade(retokenized: [-3], over: span, behaviour: [0, 0, 0]).logprobs == [-1, -1, -1])
        // Rounding may put a log-probability a little above 0: no token's part is negative, and none is more than all.
        let rounded = Grade(retokenized: [-4], over: span, behaviour: [1e-6, -2e-6, 1e-6])
        #expect(rounded.logprobs == [0, -4, 0])
        #expect(Grade(retokenized: [.nan], over: span, behaviour: [-1, 0, -1]).areFinite == false)
    }

    @Test func aTokenIsTaughtByThoseThatCanCompareIt() {
        let plain = Grade(logprobs: [-1, -1, -1])
        let other = Grade(
            retokenized: [-1, -2],
            over: [
                TokenSpan(count: 1, otherCount: 1), TokenSpan(count: 1, otherCount: 1),
                TokenSpan(count: 1, otherCount: 0, isComparable: false),
            ], behaviour: [-3, -3, -3])
        let both = Grade(mixing: [(0.25, plain), (0.75, other)])
        #expect(both.comparisons == [.own, .own, .shared] && both.logprobs == [-1, -1.75, -1])
        #expect(Grade(mixing: [(0.5, plain), (0.5, plain)]).comparisons == nil)
        let third = Grade(mixing: [(0.25, other), (0.25, plain), (0.5, Grade(logprobs: [-2, -2, -4]))])
        #expect(third.comparisons?.last == .shared && third.logprobs.last == -3)
        // Where nobody can the student's number stays, to the bit.
        let none = Grade(
            retokenized: [], over: [TokenSpan(count: 1, otherCount: 0, isComparable: false)], behaviour: [-0.1])
        let silent = Grade(mixing: [(0.3, none), (0.3, none), (0.4, none)])
        #expect(silent.comparisons == [TokenComparison.none] && silent.logprobs == [-0.1])
    }

    /// What no teacher could grade teaches nothing, also where the weights have moved since.
    @Test(arguments: AdvantageKind.allCases) func whatIsNotGradedHasNoAdvantage(kind: AdvantageKind) {
        let trajectory = Trajectory(
            id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "default", promptIDs: [1],
            responseIDs: [1, 2], behaviourLogprobs: [-1, -1], policyVersions: PolicyVersions(repeating: 0, count: 2),
            finishReason: .length, temperature: 1)
        let grade = Grade(
            retokenized: [-2],
            over: [
                TokenSpan(count: 1, otherCount: 1), TokenSpan(count: 1, otherCount: 0, isComparable: false),
            ], behaviour: trajectory.behaviourLogprobs)
        var scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: grade.logprobs)
        scored.comparisons = grade.comparisons
        let advantages = PolicyGradient(advantage: kind).advantages(of: scored, current: [-1.5, -0.5])
        #expect(advantages == [kind == .behaviour ? -1 : -0.5, 0])
        // Nor does a limit change it.
        var limited = BatchStatistics()
        _ = PolicyGradient(advantage: kind, logRatio: LogRatioBounds(limit: 3)).gradient(
            of: scored, current: [-9, -9], baseline: 0, tokenCount: 2, version: 0, statistics: &limited)
        #expect(limited.clampFraction == (kind == .behaviour ? 0 : 0.5))
        var statistics = BatchStatistics()
        statistics.add(scored, version: 0)
        #expect(statistics.oneToOne == 0.5 && statistics.incomparable == 0.5)
        scored.comparisons = nil
        var plain = BatchStatistics()
        plain.add(scored, version: 0)
        #expect(plain.oneToOne == nil && plain.incomparable == nil)
    }
}
