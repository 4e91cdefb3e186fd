import Distillation
import Testing

@Suite struct PassRateTests {
    /// The expected values were worked out apart from this code.
    @Test(arguments: [
        (0, 10, 0.0, 0.27753280), (5, 10, 0.23659309, 0.76340691), (81, 200, 0.33937771, 0.47420290),
        (200, 200, 0.98115467, 1.0),
    ])
    func wilsonIsWilson(passed: Int, trials: Int, low: Double, high: Double) {
        let interval = wilsonInterval(rate: Double(passed) / Double(trials), trials: trials)
        #expect(abs(interval.low - low) < 1e-7 && abs(interval.high - high) < 1e-7, "\(interval)")
        #expect(interval.mean == Double(passed) / Double(trials))
    }

    /// The definition is the share of all subsets of k samples with one that passes.
    @Test func passAtKIsTheShareOfSubsets() {
        for n in 1...7 {
            for c in 0...n {
                for k in 1...n {
                    let subsets = (0..<1 << n).filter { $0.nonzeroBitCount == k }
                    let hit = subsets.count { $0 & ((1 << c) - 1) != 0 }
                    let expected = Double(hit) / Double(subsets.count)
                    #expect(abs(passAtK(samples: n, passed: c, k: k) - expected) < 1e-12)
                }
            }
        }
        // Binomials of this size are no Doubles.
        #expect(abs(passAtK(samples: 5000, passed: 5, k: 1000) - (1 - 0.32751609)) < 1e-6)
    }

    @Test func theBootstrapHoldsTheMeanAndIsReproducible() {
        let values = (0..<200).map { Double($0 % 4 == 0 ? 1 : 0) }
        let estimate = bootstrap(values)
        #expect(estimate.mean == 0.25 && estimate == bootstrap(values))
        // The normal interval's half width is 1.96 * sqrt(0.25 * 0.75 / 200) = 0.060.
        #expect(abs(estimate.high - 0.25 - 0.06) < 0.012 && abs(0.25 - estimate.low - 0.06) < 0.012, "\(estimate)")
        let ratio = bootstrap([1, 2, 3], weights: [10, 20, 30])
        #expect(ratio.mean == 0.1 && abs(ratio.low - 0.1) < 1e-12 && abs(ratio.high - 0.1) < 1e-12)
    }

    private func judged(_ passes: [Bool], tokens: Int = 4, kl: Double? = nil) -> [JudgedResponse] {
        passes.map {
            JudgedResponse(
                verdict: Verdict(reward: $0 ? 1 : 0.5, passed: $0), tokens: tokens, isTruncated: !$0, teacherKL: kl)
        }
    }

    @Test func theReportAddsUp() throws {
        let report = EvaluationReport([
            judged([true, true, false, true], kl: 2), judged([false, false, false, false], tokens: 6, kl: 3),
            judged([true, false, false, false], kl: 1),
        ])
        #expect(report.problems == 3 && report.samples == 4 && report.tokens == 56)
        #expect(report.passAt1 == wilsonInterval(rate: 1.0 / 3, trials: 3))
        #expect(report.passAtK.map(\.k) == [2, 4])
        #expect(abs(report.passAtK[0].estimate.mean - (1 + 0 + 0.5) / 3) < 1e-12)
        #expect(abs(report.passAtK[1].estimate.mean - 2.0 / 3) < 1e-12)
        let reward = try #require(report.rewardMean)
        #expect(abs(reward - 8.0 / 12) < 1e-12)
        #expect(abs(report.truncatedFraction - 8.0 / 12) < 1e-12)
        #expect(abs(try #require(report.teacherKL).mean - 24.0 / 56) < 1e-12)
        #expect(EvaluationReport([judged([true])]).teacherKL == nil)
        #expect(EvaluationReport([judged([true])]).passAtK.isEmpty)
    }
}
