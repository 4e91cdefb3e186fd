import Distillation
import Foundation
import TestSupport
import Testing

@Suite struct TokenClassesTests {
    private static let size = 10

    private func pairs() -> [(student: [Double], teacher: [Double])] {
        Array(
            zip(
                DivergenceTests.logits(8, classes: Self.size), DivergenceTests.logits(8, classes: Self.size, seed: 8)
            ).map { (student: $0, teacher: $1) })
    }

    /// The teacher's most probable tokens, the best first.
    private func top(_ count: Int, of teacher: [Double]) throws -> TokenClasses {
        let order = teacher.indices.sorted { teacher[$0] > teacher[$1] }
        return try #require(TokenClasses(order.prefix(count).map(Int32.init), vocabularySize: teacher.count))
    }

    private func compare(
        _ divergence: Divergence, _ classes: TokenClasses, _ p: [Double], _ q: [Double]
    ) -> PositionDivergence {
        let found = divergence.position(student: classes.logprobs(p), teacher: classes.logprobs(q))
        return PositionDivergence(value: found.value, gradient: classes.spread(found.gradient, student: p))
    }

    @Test func aListIsOfDifferentTokensOfTheVocabulary() {
        for ids: [Int32] in [[3, 3], [-1], [4], [0, 1, 2, 3, 0], [.max], [.min]] {
            #expect(TokenClasses(ids, vocabularySize: 4) == nil, "\(ids)")
        }
        #expect(TokenClasses([], vocabularySize: 4) != nil && TokenClasses([3, 0, 1, 2], vocabularySize: 4) != nil)
    }

    /// Probabilities of classes add up, and the tail has what is left, to its own last digits.
    @Test func theTailIsSummedUp() throws {
        let p = logSoftmax([0, -30, -31, -.infinity])
        let classes = try #require(TokenClasses([0], vocabularySize: 4)).logprobs(p)
        #expect(classes[0] == p[0])
        #expect(abs(classes[1] - (log(exp(-30.0) + exp(-31.0)) + p[0])) < 1e-12)
        // What is missing from 1 would say something else.
        #expect(abs(tailLogprob(besides: [classes[0]], resolution: 1e-300) - classes[1]) > 1e-6)
        let all = try #require(TokenClasses([2, 1, 0, 3], vocabularySize: 4)).logprobs(p)
        #expect(all == [p[2], p[1], p[0], p[3], -.infinity])
        #expect(tailLogprob(besides: [log(0.75)], resolution: 1e-7) == log(1 - exp(log(0.75))))
        // In f32 these two are 1 and more together.
        #expect(tailLogprob(besides: [log(0.75), log(0.2500001)], resolution: 1e-7) == log(1e-7))
    }

    /// With every token listed there is nothing else: to the last bit in the vocabulary's order, nearly in another.
    @Test(arguments: DivergenceTests.divergences) func allTokensAreTheVocabulary(divergence: Divergence) throws {
        let every = try #require(TokenClasses((0..<Int32(Self.size)).map { $0 }, vocabularySize: Self.size))
        for (student, teacher) in pairs() {
            let p = logSoftmax(student), q = logSoftmax(teacher)
            let full = divergence.position(student: p, teacher: q)
            #expect(compare(divergence, every, p, q) == full)
            let other = compare(divergence, try top(Self.size, of: teacher), p, q)
            #expect(abs(other.value - full.value) < 1e-14 && other.gradient.distance(to: full.gradient) < 1e-14)
        }
    }

    /// The data-processing inequality: fewer tokens never show more, and none show nothing.
    @Test(arguments: DivergenceTests.divergences) func classesShowAtMostTheVocabulary(divergence: Divergence) throws {
        for (student, teacher) in pairs() {
            let p = logSoftmax(student), q = logSoftmax(teacher)
            let values = try (0...Self.size).map { compare(divergence, try top($0, of: teacher), p, q).value }
            #expect(abs(values[0]) < 1e-14)
            for (fewer, more) in zip(values, values.dropFirst()) { #expect(fewer <= more + 1e-14, "\(values)") }
            // The last token is the tail itself.
            let full = divergence.position(student: p, teacher: q).value
            #expect(abs(values[Self.size - 1] - full) < 1e-14 && values[2] < full)
        }
    }

    @Test(arguments: DivergenceTests.divergences, [0, 1, 4, size - 1])
    func theGradientMatchesFiniteDifferences(divergence: Divergence, count: Int) throws {
        for (student, teacher) in pairs() {
            let classes = try top(count, of: teacher), q = logSoftmax(teacher)
            let found = compare(divergence, classes, logSoftmax(student), q)
            let slopes = finiteDifferences(at: student) { compare(divergence, classes, logSoftmax($0), q).value }
            #expect(found.gradient.distance(to: slopes) < 1e-8, "\(found.gradient) \(slopes)")
        }
    }

    /// A tail that has no probability has no gradient, and no division by it.
    @Test func anEmptyTailGivesNothing() throws {
        let classes = try #require(TokenClasses([0, 1], vocabularySize: 4))
        let p = logSoftmax([0, 1, -.infinity, -.infinity]), q = logSoftmax([1, 0, 2, 2])
        for divergence in DivergenceTests.bounded {
            let found = compare(divergence, classes, p, q)
            #expect(found.gradient[2...] == [0, 0] && found.gradient.allSatisfy(\.isFinite), "\(found)")
        }
    }
}
