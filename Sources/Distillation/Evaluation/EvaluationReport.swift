/// One response to a problem, judged.
package struct JudgedResponse: Sendable, Equatable {
    /// The verifier's verdict; nil where the problem has no verifier.
    package var verdict: Verdict?
    /// Response tokens, the stop token included.
    package var tokens: Int
    /// Whether the token limit cut it.
    package var isTruncated: Bool
    /// Sum over its tokens of b - t, in nats; nil without a teacher.
    package var teacherKL: Double?

    package init(verdict: Verdict?, tokens: Int, isTruncated: Bool, teacherKL: Double? = nil) {
        self.verdict = verdict
        self.tokens = tokens
        self.isTruncated = isTruncated
        self.teacherKL = teacherKL
    }
}

/// How well a model does on the problems of a task.
package struct EvaluationReport: Sendable, Equatable {
    package var problems: Int
    /// Samples a problem.
    package var samples: Int
    /// Chance that one sample passes. Wilson's interval, a problem being one trial: the samples of a problem are not
    /// independent, so several of them make the interval no narrower. Nil where nothing was judged.
    package var passAt1: Estimate?
    /// pass@k for k = 2, 4, ... and `samples`, by the unbiased estimator, with bootstrap intervals over problems.
    package var passAtK: [(k: Int, estimate: Estimate)]
    /// Mean reward; nil where nothing was judged.
    package var rewardMean: Double?
    package var tokens: Int
    package var responseLengthMean: Double
    package var truncatedFraction: Double
    /// Token mean of b - t, in nats, with a bootstrap interval over problems; nil without a teacher.
    package var teacherKL: Estimate?
    /// Responses that their verifier could not judge, and why the first of them.
    package var flaws: (count: Int, first: String?)

    /// - Parameter judged: the responses to every problem, as many for each; all with a verdict, or none.
    package init(_ judged: [[JudgedResponse]]) {
        let all = judged.flatMap { $0 }
        problems = judged.count
        let samples = judged.first?.count ?? 0
        precondition(judged.allSatisfy { $0.count == samples }, "as many responses for every problem")
        self.samples = samples
        let isJudged = !all.isEmpty && all.allSatisfy { $0.verdict != nil }
        if isJudged {
            let passed = judged.map { responses in responses.count { $0.verdict?.passed == true } }
            let rate = Double(passed.reduce(0, +)) / Double(all.count)
            passAt1 = wilsonInterval(rate: rate, trials: judged.count)
            var ks: [Int] = []
            var k = 2
            while k < samples {
                ks.append(k)
                k *= 2
            }
            if samples > 1 { ks.append(samples) }
            passAtK = ks.map { k in
                (k, bootstrap(passed.map { Distillation.passAtK(samples: samples, passed: $0, k: k) }))
            }
            rewardMean = all.reduce(0) { $0 + ($1.verdict?.reward ?? 0) } / Double(all.count)
        } else {
            passAtK = []
        }
        let tokens = all.reduce(0) { $0 + $1.tokens }
        self.tokens = tokens
        responseLengthMean = Double(tokens) / Double(max(all.count, 1))
        truncatedFraction = Double(all.count(where: \.isTruncated)) / Double(max(all.count, 1))
        if !all.isEmpty, all.allSatisfy({ $0.teacherKL != nil }) {
            teacherKL = bootstrap(
                judged.map { $0.reduce(0) { $0 + ($1.teacherKL ?? 0) } },
                weights: judged.map { Double($0.reduce(0) { $0 + $1.tokens }) })
        }
        let flawed = all.compactMap(\.verdict?.flaw)
        flaws = (flawed.count, flawed.first)
    }

    package static func == (a: EvaluationReport, b: EvaluationReport) -> Bool {
        a.problems == b.problems && a.samples == b.samples && a.passAt1 == b.passAt1
            && a.passAtK.elementsEqual(b.passAtK, by: ==) && a.rewardMean == b.rewardMean && a.tokens == b.tokens
            && a.truncatedFraction == b.truncatedFraction && a.teacherKL == b.teacherKL && a.flaws == b.flaws
    }
}
