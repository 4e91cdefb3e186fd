import Distillation
import Foundation
import TestSupport
import Testing

@Suite struct DivergenceTests {
    static let divergences: [Divergence] = [
        .reverseKL, .forwardKL, .jensenShannon(beta: 0.5), .jensenShannon(beta: 0.1), .skewKL(skew: 0.1),
        .skewReverseKL(skew: 0.1), .skewReverseKL(skew: 0.6),
    ]
    /// Those that stay finite whatever one side finds impossible.
    static let bounded = divergences.dropFirst(2)

    /// Distributions from nearly even to nearly sure, the same at every call.
    static func logits(_ count: Int, classes: Int = 9, scale: Double = 2, seed: UInt64 = 3) -> [[Double]] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { index in
            (0..<classes).map { _ in scale * Double(index % 5 + 1) / 2 * Double.random(in: -1...1, using: &random) }
        }
    }

    @Test(arguments: divergences) func theGradientMatchesFiniteDifferences(divergence: Divergence) {
        let students = Self.logits(12), teachers = Self.logits(12, seed: 4)
        for (student, teacher) in zip(students, teachers) {
            let q = logSoftmax(teacher)
            let found = divergence.position(student: logSoftmax(student), teacher: q)
            let slopes = finiteDifferences(at: student) {
                divergence.position(student: logSoftmax($0), teacher: q).value
            }
            #expect(found.gradient.distance(to: slopes) < 1e-8, "\(found.gradient) \(slopes)")
            #expect(found.value > 0 && abs(found.gradient.reduce(0, +)) < 1e-14)
        }
    }

    /// Not nearly: an aligned teacher that is the student itself teaches nothing, whatever rounding the sums have.
    @Test(arguments: divergences) func equalDistributionsGiveNothingAtAll(divergence: Divergence) {
        for logits in Self.logits(10) + [[0, -.infinity, 3], [-900, 0, 1], [5]] {
            let found = divergence.position(student: logSoftmax(logits), teacher: logSoftmax(logits))
            #expect(found.value == 0 && found.gradient.allSatisfy { $0 == 0 }, "\(found)")
        }
    }

    /// A step against the gradient brings the student nearer, and enough of them all the way.
    @Test(arguments: divergences) func descentEndsAtTheTeacher(divergence: Divergence) {
        let teacher = logSoftmax([1, -1, 0.5, 0])
        var logits = [-1.0, 1, 0, 0.5]
        var last = divergence.position(student: logSoftmax(logits), teacher: teacher).value
        for _ in 0..<3000 {
            let found = divergence.position(student: logSoftmax(logits), teacher: teacher)
            #expect(found.value <= last + 1e-15)
            last = found.value
            for index in logits.indices { logits[index] -= 2 * found.gradient[index] }
        }
        #expect(last < 1e-9, "\(last)")
        #expect(logSoftmax(logits).distance(to: teacher) < 1e-2)
    }

    /// GKD's convention: near 0 the JSD is the forward KL, near 1 the reverse; the skewed ones become the plain.
    @Test func theLimitsAreThoseOfTheSources() {
        for (student, teacher) in zip(Self.logits(6, scale: 0.8), Self.logits(6, scale: 0.8, seed: 4)) {
            let p = logSoftmax(student), q = logSoftmax(teacher)
            func value(_ divergence: Divergence) -> Double { divergence.position(student: p, teacher: q).value }
            let small = 1e-6, forward = value(.forwardKL), reverse = value(.reverseKL)
            #expect(abs(value(.jensenShannon(beta: small)) / small - forward) < 1e-3 * forward)
            #expect(abs(value(.jensenShannon(beta: 1 - small)) / small - reverse) < 1e-3 * reverse)
            #expect(abs(value(.skewKL(skew: small)) - forward) < 1e-3 * forward)
            #expect(abs(value(.skewReverseKL(skew: small)) - reverse) < 1e-3 * reverse)
            let exchanged = Divergence.jensenShannon(beta: 0.7).position(student: q, teacher: p).value
            #expect(abs(value(.jensenShannon(beta: 0.3)) - exchanged) < 1e-14)
        }
    }

    /// The sampled token's gradient is that of the reverse KL in the mean over what the student may sample.
    @Test func theSampledTokenEstimatesTheReverseKL() {
        for (student, teacher) in zip(Self.logits(6), Self.logits(6, seed: 4)) {
            let p = logSoftmax(student).map(Float.init), q = logSoftmax(teacher).map(Float.init)
            let exact = Divergence.reverseKL.position(student: p.map(Double.init), teacher: q.map(Double.init))
            var mean = [Double](repeating: 0, count: p.count)
            for token in p.indices {
                var statistics = BatchStatistics()
                let push = PolicyGradient().gradient(
                    of: scored(behaviour: [p[token]], teacher: [q[token]]), current: [p[token]], baseline: 0,
                    tokenCount: 1, version: 0, statistics: &statistics)
                for index in p.indices {
                    mean[index] +=
                        exp(Double(p[token])) * Double(push[0]) * ((index == token ? 1 : 0) - exp(Double(p[index])))
                }
            }
            #expect(mean.distance(to: exact.gradient) < 1e-5, "\(mean) \(exact.gradient)")
        }
    }

    /// `objective.teacher_mix` rewards a token so that the mean is the skewed reverse divergence.
    @Test(arguments: [0.5, 0.9, 0.99]) func theMixEstimatesTheSkewedDivergence(share: Double) {
        let bounds = LogRatioBounds(teacherMix: share)
        for (student, teacher) in zip(Self.logits(6), Self.logits(6, seed: 4)) {
            let p = logSoftmax(student), q = logSoftmax(teacher)
            let mean = zip(p, q).reduce(0) { $0 + exp($1.0) * bounds.bounded($1.0 - $1.1) }
            let exact = Divergence.skewReverseKL(skew: 1 - share).position(student: p, teacher: q).value
            #expect(abs(mean - exact) < 1e-12)
        }
    }
}

/// What is impossible on one side, or next to it.
@Suite struct DivergenceBoundTests {
    private let some = logSoftmax([1, 2, -.infinity, 0, -.infinity])
    private let others = logSoftmax([-.infinity, 1, 2, 0.5, -.infinity])

    /// Classes that only one side has, or none: finite, below the bound of the formula, with a gradient that sums to 0.
    @Test(arguments: DivergenceTests.bounded) func impossibleClassesAreBounded(divergence: Divergence) {
        let found = divergence.position(student: some, teacher: others)
        let bound =
            switch divergence {
            case .jensenShannon(let beta): -beta * log(beta) - (1 - beta) * log(1 - beta)
            case .skewKL(let skew), .skewReverseKL(let skew): -log(skew)
            case .reverseKL, .forwardKL: 0.0
            }
        #expect(found.value > 0 && found.value < bound)
        #expect(found.gradient.allSatisfy(\.isFinite) && abs(found.gradient.reduce(0, +)) < 1e-14, "\(found)")
        // What the student alone expects becomes less likely; what is impossible for it has no slope in its logit.
        #expect(found.gradient[0] > 0 && found.gradient[2] == 0 && found.gradient[4] == 0)
        let apart = divergence.position(student: logSoftmax([0, -.infinity]), teacher: logSoftmax([-.infinity, 0]))
        #expect(apart.value <= bound + 1e-14 && apart.gradient.allSatisfy(\.isFinite))
    }

    /// Infinite and not a large number, so that the step is refused instead of trained.
    @Test func theUnboundedOnesSaySo() {
        let reverse = Divergence.reverseKL.position(student: some, teacher: others)
        #expect(reverse.value == .infinity && !reverse.gradient.allSatisfy(\.isFinite))
        let forward = Divergence.forwardKL.position(student: some, teacher: others)
        #expect(forward.value == .infinity)
        // Where only the other side has no probability there is nothing to be afraid of.
        let within = logSoftmax([-.infinity, 1, -.infinity, 0, -.infinity])
        #expect(Divergence.reverseKL.position(student: within, teacher: some).value.isFinite)
        #expect(Divergence.forwardKL.position(student: some, teacher: within).value.isFinite)
    }

    /// Logits so far apart that probabilities are 0 in f64 while their logarithms are not.
    @Test(arguments: DivergenceTests.divergences) func distantLogitsOverflowNowhere(divergence: Divergence) {
        for distance in [40.0, 800, 1e5] {
            let found = divergence.position(
                student: logSoftmax([distance, 0, -distance]), teacher: logSoftmax([-distance, 0, distance]))
            #expect(found.value.isFinite && found.value > 0 && found.gradient.allSatisfy(\.isFinite), "\(found)")
        }
    }

    @Test func whatIsNoNumberStaysNone() {
        for divergence in DivergenceTests.divergences {
            for (student, teacher) in [([-0.7, .nan], [-0.7, -0.7]), ([-0.7, -0.7], [.nan, -0.7])] {
                let found = divergence.position(student: student, teacher: teacher)
                #expect(!found.value.isFinite, "\(divergence)")
            }
        }
        #expect(logSumExp([0, .nan]).isNaN && logMixture(share: 0.5, of: .nan).isNaN)
        #expect(LogRatioBounds(limit: 3, teacherMix: 0.5).bounded(.nan).isNaN)
    }

    @Test func logarithmsOfSumsAndMixturesAreSafe() {
        #expect(logSumExp([]) == -.infinity && logSumExp([-.infinity, -.infinity]) == -.infinity)
        #expect(logSumExp([1e4, 1e4]) == 1e4 + log(2) && logSumExp([-1e4, -.infinity]) == -1e4)
        #expect(logSumExp([.infinity, 0]) == .infinity)
        for share in [1e-9, 0.1, 0.5, 0.9, 1 - 1e-9] {
            #expect(logMixture(share: share, of: 0) == 0)
            #expect(logMixture(share: share, of: -.infinity) == log1p(-share))
            #expect(logMixture(share: share, of: .infinity) == .infinity)
            #expect(abs(logMixture(share: share, of: 1e4) - (1e4 + log(share))) < 1e-6)
            // Exact where a difference of logarithms would have lost all digits.
            #expect(abs(logMixture(share: share, of: 1e-12) / (share * 1e-12) - 1) < 1e-10)
            for x in stride(from: -6.0, through: 6, by: 0.75) {
                let direct = log(share * exp(x) + 1 - share)
                #expect(abs(logMixture(share: share, of: x) - direct) < 1e-12 * max(1, exp(x)))
            }
        }
        #expect(logMixture(share: 1, of: -7.5) == -7.5 && logMixture(share: 1, of: -.infinity) == -.infinity)
    }
}
