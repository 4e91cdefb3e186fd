/// What a training step minimises over the response tokens of its batch. Prompt tokens carry no loss.
///
/// A trainer asks it in this order: the temperature of each trajectory and the batch's terms, then, between the forward
/// pass (which gives s) and the backward pass (which takes dL/ds), the gradient of each trajectory in batch order.
package enum Objective: Sendable, Equatable, Codable {
    /// Responses are imitated, by their cross-entropy, whoever sampled them.
    case imitation
    /// Responses that the student sampled are made likelier or less likely, by their advantages.
    case policyGradient(PolicyGradient)
    /// The student's distribution is brought nearer to its teacher's at every token of what it sampled.
    case distribution(DistributionMatching)

    /// Whether responses are imitated.
    package var imitates: Bool { self == .imitation }

    /// The temperature of s: what is imitated is learnt at 1, however it was sampled.
    package func temperature(of trajectory: Trajectory) -> Float {
        switch self {
        case .imitation: 1
        case .policyGradient, .distribution: trajectory.temperature
        }
    }

    /// B, which is subtracted from every advantage of the batch; 0 where there are no advantages.
    package func baseline(of batch: [ScoredTrajectory]) -> Double {
        switch self {
        case .imitation, .distribution: 0
        case .policyGradient(let method): method.baseline(of: batch)
        }
    }

    /// What the reward adds to the advantage of every token of each trajectory; 0 where there are no advantages.
    /// - Parameter batch: with all samples of a prompt next to each other, as sorting by id puts them.
    package func rewardAdvantages(of batch: [ScoredTrajectory]) -> [Double] {
        switch self {
        case .imitation: [Double](repeating: 0, count: batch.count)
        case .policyGradient(let method): method.rewardAdvantages(of: batch)
        case .distribution(let method):
            method.rewards?.rewardAdvantages(of: batch) ?? [Double](repeating: 0, count: batch.count)
        }
    }

    /// dL/ds of every response token of one trajectory, already divided by N; statistics are added to `statistics`.
    /// - Parameters:
    ///   - current: s, one a response token, at `temperature(of:)` the trajectory.
    ///   - baseline: B, `baseline(of:)` the whole batch.
    ///   - rewardAdvantage: what `rewardAdvantages(of:)` the whole batch has for this trajectory.
    ///   - tokenCount: N, response tokens of the whole batch (`responseTokenCount`).
    ///   - version: completed steps before this one, from which staleness is counted.
    package func gradient(
        of scored: ScoredTrajectory, current: [Float], baseline: Double, rewardAdvantage: Double = 0, tokenCount: Int,
        version: UInt64, statistics: inout BatchStatistics
    ) -> [Float] {
        switch self {
        case .imitation:
            // Weights that never change are never stale.
            statistics.add(scored, version: scored.trajectory.policyVersions.newest ?? 0)
            return crossEntropyGradient(current: current, tokenCount: tokenCount, statistics: &statistics)
        case .policyGradient(let method):
            return method.gradient(
                of: scored, current: current, baseline: baseline, rewardAdvantage: rewardAdvantage,
                tokenCount: tokenCount, version: version, statistics: &statistics)
        case .distribution(let method):
            return method.gradient(
                of: scored, current: current, rewardAdvantage: rewardAdvantage, tokenCount: tokenCount,
                version: version, statistics: &statistics)
        }
    }

    /// How whole distributions are compared; nil: they are not.
    package var distribution: DistributionMatching? {
        if case .distribution(let method) = self { method } else { nil }
    }

    /// The tokens of a trajectory's positions that are classes of their own, whose log-probabilities `pulls` asks for:
    /// those that its teacher lists, or any of its teachers; nil: there are none.
    package func classes(of scored: ScoredTrajectory) -> ClassLists? {
        guard case .distribution = self else { return nil }
        return scored.top.map(ClassLists.init) ?? (scored.lists.isEmpty ? nil : ClassLists(scored.lists.map(\.top)))
    }

    /// How the logits of a trajectory's classes are pulled, already divided by N; statistics are added to `statistics`. It
    /// is asked after `gradient(of:current:baseline:rewardAdvantage:tokenCount:version:statistics:)`, of trajectories that
    /// have classes.
    /// - Parameter current: log p of the classes under the weights being trained, position by position, the tail's last.
    package func pulls(
        of scored: ScoredTrajectory, current: [Float], tokenCount: Int, statistics: inout BatchStatistics
    ) -> [Float] {
        guard case .distribution(let method) = self else { return [] }
        return method.pulls(of: scored, current: current, tokenCount: tokenCount, statistics: &statistics)
    }
}

/// N: the response tokens of a batch that were sampled.
package func responseTokenCount(_ batch: [ScoredTrajectory]) -> Int {
    batch.reduce(0) { $0 + $1.trajectory.sampledCount }
}
