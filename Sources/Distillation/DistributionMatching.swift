/// Responses that the student sampled, at every token of which its whole distribution is brought nearer to its teacher's:
/// L = (c/N) sum_i D(p_i, q_i), N being the number of response tokens of the whole batch.
///
/// p is the student's distribution under the weights being trained, whichever version sampled the response; so stale
/// samples have a present signal, and there is no importance ratio. q is the teacher's as far as it is told
/// (``TopTokens``). Source: R. Agarwal and others (GKD), arXiv:2306.13649, algorithm 1 with all responses from the
/// student.
package struct DistributionMatching: Sendable, Equatable, Codable {
    package var divergence: Divergence
    /// c, at least 0.
    package var coefficient: Double
    /// The part of the rewards, which stays with the sampled token; its own divergence has no part in it. Nil: none.
    package var rewards: PolicyGradient?

    package init(_ divergence: Divergence, coefficient: Double = 1, rewards: PolicyGradient? = nil) {
        self.divergence = divergence
        self.coefficient = coefficient
        self.rewards = rewards
        // The teacher's part is not counted twice.
        self.rewards?.klCoefficient = 0
    }

    /// dL/ds of every response token of one trajectory: the rewards' part; see ``Objective``'s function of this name.
    package func gradient(
        of scored: ScoredTrajectory, current: [Float], rewardAdvantage: Double, tokenCount: Int, version: UInt64,
        statistics: inout BatchStatistics
    ) -> [Float] {
        (rewards ?? PolicyGradient(klCoefficient: 0)).gradient(
            of: scored, current: current, baseline: 0, rewardAdvantage: rewards == nil ? 0 : rewardAdvantage,
            tokenCount: tokenCount, version: version, statistics: &statistics)
    }

    /// What each token's divergence weighs in the loss.
    package func weight(tokenCount: Int) -> Double { coefficient / Double(max(tokenCount, 1)) }

    /// Notes what a comparison of one response's tokens over the whole vocabulary has found.
    package func note(_ found: DistributionComparison, statistics: inout BatchStatistics) {
        for value in found.divergences { statistics.add(divergence: value, loss: coefficient * value) }
        statistics.add(teacherEntropies: found.teacherEntropies)
        statistics.add(teachersChoices: found.teachersChoices)
    }

    /// How the logits of one response's classes are pulled: dL/dz_j = pull_j - p_j sum of all pulls of the position.
    /// - Parameters:
    ///   - current: log p of the teacher's listed tokens and of the tail, which is last, position by position.
    ///   - tokenCount: N.
    /// - Returns: one a class, as `current` has them.
    package func pulls(
        of scored: ScoredTrajectory, current: [Float], tokenCount: Int, statistics: inout BatchStatistics
    ) -> [Float] {
        guard let top = scored.top else { return [] }
        let width = top.count + 1, scale = weight(tokenCount: tokenCount)
        precondition(current.count == top.tails.count * width, "one log-probability a class")
        var pulls = [Float](repeating: 0, count: current.count)
        for position in top.tails.indices {
            var value = 0.0
            for place in 0..<width {
                let index = position * width + place
                let teacher = place < top.count ? top.logprobs[position * top.count + place] : top.tails[position]
                let term = divergence.term(student: Double(current[index]), teacher: Double(teacher))
                value += term.value
                pulls[index] = Float(scale * term.pull)
            }
            let tail = current[position * width + top.count]
            if let isChoice = top.isMostProbable(scored.trajectory.responseIDs[position], at: position) {
                statistics.add(teachersChoices: CollectionOfOne(isChoice))
            }
            statistics.add(
                divergence: value, loss: coefficient * value, tail: probability(Double(tail)),
                teacherTail: probability(Double(top.tails[position])))
        }
        return pulls
    }
}

/// What a trainer finds where it compares whole distributions at the tokens of one response.
package struct DistributionComparison: Sendable, Equatable {
    /// The divergence at each of them, in nats.
    package var divergences: [Double]
    /// The entropy of the teacher's distribution at each, in nats.
    package var teacherEntropies: [Float]
    /// Whether the teacher finds no token more probable than the one that was sampled.
    package var teachersChoices: [Bool]

    package init(divergences: [Double], teacherEntropies: [Float] = [], teachersChoices: [Bool] = []) {
        self.divergences = divergences
        self.teacherEntropies = teacherEntropies
        self.teachersChoices = teachersChoices
    }
}
