/// What a training step observes about its batch; sums in Double, added up in batch order, so that equal batches give
/// equal bits.
package struct BatchStatistics: Sendable, Equatable, Codable {
    package private(set) var tokens = 0
    package private(set) var trajectories = 0
    private var lossSum = 0.0
    private var givenLoss = 0.0
    private var givenLossSum = 0.0
    private var givenTokens = 0
    private var ratioSum = 0.0
    private var ratioPeak = 0.0
    private var mismatchSum = 0.0
    private var mismatchPeak = 0.0
    private var mismatchTokens = 0
    private var clippedTokens = 0
    private var limitedTokens = 0
    private var clampedTokens = 0
    private var comparedTokens = 0
    private var ownTokens = 0
    private var incomparableTokens = 0
    private var reverseKLSum = 0.0
    private var divergenceSum = 0.0
    private var tailSum = 0.0
    private var teacherTailSum = 0.0
    private var divergenceTokens = 0
    private var tailedTokens = 0
    private var teacherEntropySum = 0.0
    private var teacherEntropyTokens = 0
    private var chosenTokens = 0
    private var choiceTokens = 0
    private var entropySum = 0.0
    private var entropyTokens = 0
    private var stalenessSum: UInt64 = 0
    private var stalenessPeak: UInt64 = 0
    private var truncatedTrajectories = 0
    private var ungradedTrajectories = 0
    private var rewardSum = 0.0
    private var judgedTrajectories = 0
    private var passedTrajectories = 0

    package init() {}

    /// Adds a token's loss and importance ratio.
    package mutating func add(_ token: TokenLoss, ratio: Double) {
        lossSum += token.value
        ratioSum += ratio
        ratioPeak = max(ratioPeak, ratio)
        if token.clipped { clippedTokens += 1 }
    }

    /// Adds how far s is from b for the tokens of a response that the weights being trained have sampled themselves: 0
    /// where sampler and trainer compute alike.
    /// - Parameters:
    ///   - current: s, one a response token.
    ///   - version: of the weights being trained.
    package mutating func add(mismatchOf trajectory: Trajectory, current: [Float], version: UInt64) {
        var position = 0
        for run in trajectory.policyVersions.runs {
            let tokens = position..<position + run.count
            position += run.count
            guard run.version == version else { continue }
            for index in tokens {
                let difference = abs(Double(current[index]) - Double(trajectory.behaviourLogprobs[index]))
                mismatchSum += difference
                mismatchPeak = max(mismatchPeak, difference)
            }
            mismatchTokens += run.count
        }
    }

    /// Adds the log-ratios of a response that have a limit, and which of them it changed.
    package mutating func add(logRatios: [Double], clampedBy bounds: LogRatioBounds) {
        limitedTokens += logRatios.count
        for k in logRatios where bounds.clamps(k) { clampedTokens += 1 }
    }

    /// Adds a position whose distributions were compared.
    /// - Parameters:
    ///   - divergence: D, in nats.
    ///   - loss: its part of the loss, before the division by the batch's number of tokens.
    ///   - tail, teacherTail: what student and teacher give to the tokens that are not listed, as probabilities.
    package mutating func add(divergence: Double, loss: Double, tail: Double, teacherTail: Double) {
        add(divergence: divergence, loss: loss)
        tailSum += tail
        teacherTailSum += teacherTail
        tailedTokens += 1
    }

    /// Adds a position whose distributions were compared over all tokens.
    package mutating func add(divergence: Double, loss: Double) {
        divergenceSum += divergence
        lossSum += loss
        divergenceTokens += 1
    }

    /// Adds a token that is imitated, which no policy sampled.
    package mutating func add(supervised token: TokenLoss) { lossSum += token.value }

    /// Adds a token of a response that is given beside sampled ones.
    /// - Parameter weight: what its loss counts in that of the step, the division by the number of such tokens included.
    package mutating func add(given token: TokenLoss, weight: Double) {
        givenLoss += weight * token.value
        givenLossSum += token.value
        givenTokens += 1
    }

    /// Adds an example's length.
    package mutating func add(exampleOf tokenCount: Int) {
        trajectories += 1
        tokens += tokenCount
    }

    /// Adds a trajectory's length, reverse KL and staleness at `version` completed steps.
    package mutating func add(_ scored: ScoredTrajectory, version: UInt64) {
        let trajectory = scored.trajectory
        trajectories += 1
        tokens += trajectory.sampledCount
        if trajectory.finishReason.isTruncated { truncatedTrajectories += 1 }
        if trajectory.isGraded {
            let values = reverseKL(policy: trajectory.behaviourLogprobs, teacher: scored.teacherLogprobs)
            for k in values { reverseKLSum += k }
            for comparison in scored.comparisons ?? [] {
                comparedTokens += 1
                if comparison == .own { ownTokens += 1 }
                if comparison == .none { incomparableTokens += 1 }
            }
        } else {
            ungradedTrajectories += 1
        }
        if let verdict = scored.verdict {
            rewardSum += verdict.reward
            judgedTrajectories += 1
            if verdict.passed { passedTrajectories += 1 }
        }
        for run in trajectory.policyVersions.runs {
            let lag = version >= run.version ? version - run.version : 0
            stalenessSum += lag * UInt64(run.count)
            stalenessPeak = max(stalenessPeak, lag)
        }
    }

    /// Adds entropies, in nats, of the policy at response tokens.
    package mutating func add(entropies: some Sequence<Float>) {
        for entropy in entropies {
            entropySum += Double(entropy)
            entropyTokens += 1
        }
    }

    /// Adds entropies, in nats, of a teacher's whole distribution at response tokens.
    package mutating func add(teacherEntropies: some Sequence<Float>) {
        for entropy in teacherEntropies {
            teacherEntropySum += Double(entropy)
            teacherEntropyTokens += 1
        }
    }

    /// Adds response tokens of which it is known whether their teacher finds no token more probable.
    package mutating func add(teachersChoices: some Sequence<Bool>) {
        for isChosen in teachersChoices {
            if isChosen { chosenTokens += 1 }
            choiceTokens += 1
        }
    }

    /// L: mean loss a token, and beside it the part of given responses, where there are any.
    package var loss: Double {
        let own = lossSum / Double(max(tokens, 1))
        return givenTokens == 0 ? own : own + givenLoss
    }
    /// Mean of -s over the tokens of responses that are given beside sampled ones, in nats; nil where there are none.
    package var givenCrossEntropy: Double? { givenTokens == 0 ? nil : givenLossSum / Double(givenTokens) }
    /// Mean of b - t a token, in nats, without the bounds that advantages may have.
    package var teacherKL: Double { reverseKLSum / Double(max(tokens, 1)) }
    /// Whether a teacher has graded every trajectory.
    package var isGraded: Bool { ungradedTrajectories == 0 }
    /// Mean reward of the trajectories that a verifier judged, nil when there is none.
    package var rewardMean: Double? { judgedTrajectories == 0 ? nil : rewardSum / Double(judgedTrajectories) }
    /// Share of the trajectories that a verifier judged which passed.
    package var passRate: Double? {
        judgedTrajectories == 0 ? nil : Double(passedTrajectories) / Double(judgedTrajectories)
    }
    /// Mean entropy a token in nats, nil when none was measured.
    package var entropy: Double? { entropyTokens == 0 ? nil : entropySum / Double(entropyTokens) }
    /// Mean entropy a token of the teacher's distribution at temperature 1, in nats; nil where it is not known.
    package var teacherEntropy: Double? {
        teacherEntropyTokens == 0 ? nil : teacherEntropySum / Double(teacherEntropyTokens)
    }
    /// Share of the sampled tokens that are their teacher's most probable ones; nil where those are not known.
    package var teacherChoice: Double? { choiceTokens == 0 ? nil : Double(chosenTokens) / Double(choiceTokens) }
    package var ratioMean: Double { ratioSum / Double(max(tokens, 1)) }
    package var ratioMax: Double { ratioPeak }
    /// Mean of |s - b| in nats over the tokens that the weights being trained have sampled; nil when there are none.
    package var mismatchMean: Double? { mismatchTokens == 0 ? nil : mismatchSum / Double(mismatchTokens) }
    /// The largest of them; nil when there are none.
    package var mismatchMax: Double? { mismatchTokens == 0 ? nil : mismatchPeak }
    /// Share of tokens at which the surrogate's bound acted.
    package var clipFraction: Double { Double(clippedTokens) / Double(max(tokens, 1)) }
    /// Share of the tokens with a limit whose log-ratio was clamped; nil where there is no limit.
    package var clampFraction: Double? {
        limitedTokens == 0 ? nil : Double(clampedTokens) / Double(limitedTokens)
    }
    /// Share of the tokens graded over another tokenizer that are one token of the teacher's, too; nil where there are none.
    package var oneToOne: Double? { comparedTokens == 0 ? nil : Double(ownTokens) / Double(comparedTokens) }
    /// Share of them of which no teacher could say anything.
    package var incomparable: Double? {
        comparedTokens == 0 ? nil : Double(incomparableTokens) / Double(comparedTokens)
    }
    /// Mean divergence of the distributions that were compared, in nats a token; nil where none were.
    package var divergence: Double? {
        divergenceTokens == 0 ? nil : divergenceSum / Double(divergenceTokens)
    }
    /// Mean probability of the tokens that were not listed, under the weights being trained; nil where none were.
    package var tail: Double? { tailedTokens == 0 ? nil : tailSum / Double(tailedTokens) }
    /// The same under the teacher.
    package var teacherTail: Double? { tailedTokens == 0 ? nil : teacherTailSum / Double(tailedTokens) }

    /// Mean of completed steps minus policy version, over tokens.
    package var stalenessMean: Double { Double(stalenessSum) / Double(max(tokens, 1)) }
    package var stalenessMax: UInt64 { stalenessPeak }
    /// Response tokens a trajectory.
    package var responseLengthMean: Double { Double(tokens) / Double(max(trajectories, 1)) }
    /// Share of responses cut by a limit of tokens or turns.
    package var truncatedFraction: Double { Double(truncatedTrajectories) / Double(max(trajectories, 1)) }
}
