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
    /// Whose tokens the trainer lists; nil: those that the teacher has listed, or none, and all are compared.
    package var listing: TokenListing?
    /// The part of the rewards, which stays with the sampled token; its own divergence has no part in it. Nil: none.
    package var rewards: PolicyGradient?

    package init(
        _ divergence: Divergence, coefficient: Double = 1, listing: TokenListing? = nil, rewards: PolicyGradient? = nil
    ) {
        self.divergence = divergence
        self.coefficient = coefficient
        self.listing = listing
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
    ///   - current: log p of the teachers' listed tokens and of the tail, which is last, position by position.
    ///   - tokenCount: N.
    /// - Returns: one a class, as `current` has them.
    package func pulls(
        of scored: ScoredTrajectory, current: [Float], tokenCount: Int, statistics: inout BatchStatistics
    ) -> [Float] {
        guard let top = scored.top else {
            guard !scored.lists.isEmpty else { return [] }
            return pulls(by: scored.lists, current: current, tokenCount: tokenCount, statistics: &statistics)
        }
        let width = top.count + 1, positions = top.tails.indices
        precondition(current.count == positions.count * width, "one log-probability a class")
        let sampled = scored.trajectory.tokens.ofPredicted(scored.trajectory.responseIDs)
        var teacher: [Float] = []
        teacher.reserveCapacity(current.count)
        for position in positions {
            teacher += top.logprobs[position * top.count..<(position + 1) * top.count]
            teacher.append(top.tails[position])
            if let isChoice = top.isMostProbable(sampled[position], at: position) {
                statistics.add(teachersChoices: CollectionOfOne(isChoice))
            }
        }
        let tokens = ListedTokens(
            widths: [Int](repeating: width, count: positions.count), student: current, teacher: teacher)
        return pulls(of: tokens, tokenCount: tokenCount, statistics: &statistics)
    }

    /// How the logits of classes are pulled: dL/dz_j = pull_j - p_j sum of all pulls of the position.
    /// - Parameter tokenCount: N.
    /// - Returns: one a class, as `tokens` has them.
    package func pulls(of tokens: ListedTokens, tokenCount: Int, statistics: inout BatchStatistics) -> [Float] {
        let scale = weight(tokenCount: tokenCount)
        var pulls = [Float](repeating: 0, count: tokens.student.count)
        var index = 0
        for width in tokens.widths {
            var value = 0.0
            for _ in 0..<width {
                let term = divergence.term(
                    student: Double(tokens.student[index]), teacher: Double(tokens.teacher[index]))
                value += term.value
                pulls[index] = Float(scale * term.pull)
                index += 1
            }
            statistics.add(
                divergence: value, loss: coefficient * value, tail: probability(Double(tokens.student[index - 1])),
                teacherTail: probability(Double(tokens.teacher[index - 1])))
        }
        return pulls
    }
}

/// Whose most probable tokens of a position are listed, each a class of its own beside all others together, where the
/// trainer has both whole distributions when it trains.
///
/// The list is taken from the weights being trained, and is a constant of the loss: no gradient flows through the choice.
package enum TokenListing: Sendable, Equatable, Codable {
    /// The student's, so many.
    case student(Int)
    /// Those of the student and those of the teacher, so many of each; what both like counts once.
    case union(Int)
}

/// Log-probabilities of the classes of some positions under student and teacher, position by position, of each position
/// those of listed tokens and, last, that of all others together.
package struct ListedTokens: Sendable, Equatable {
    /// The classes of each position, at least 1.
    package var widths: [Int]
    package var student: [Float]
    package var teacher: [Float]

    package init(widths: [Int], student: [Float], teacher: [Float]) {
        precondition(
            student.count == teacher.count && widths.reduce(0, +) == student.count, "one log-probability a class")
        self.widths = widths
        self.student = student
        self.teacher = teacher
    }
}

/// What a trainer finds where it compares whole distributions at the tokens of one response.
package struct DistributionComparison: Sendable, Equatable {
    /// The divergence at each of them, in nats; none where classes were compared, whose pulls tell it.
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
