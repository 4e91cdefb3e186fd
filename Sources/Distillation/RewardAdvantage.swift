import Glibc

/// How the rewards of a prompt's samples are scaled.
package enum RewardScale: String, Sendable, Codable, CaseIterable {
    /// r - mean: Liu and others, arXiv:2503.20783, whose gradient weighs easy and hard prompts alike.
    case none
    /// (r - mean) / (deviation + 1e-4): Shao and others, arXiv:2402.03300, equation 3.
    case deviation
}

/// The part that verifiers' rewards have in the advantage.
package struct RewardTerm: Sendable, Equatable, Codable {
    /// The scale of the group-relative reward.
    package var coefficient: Double
    package var scale: RewardScale

    package init(coefficient: Double, scale: RewardScale = .none) {
        self.coefficient = coefficient
        self.scale = scale
    }
}

/// Group-relative advantages: how much better than the other samples of its prompt each one is.
///
/// All are 0 where the samples are equally good: such a prompt teaches nothing.
/// - Parameter rewards: of the samples of one prompt.
package func groupAdvantages(rewards: [Double], scale: RewardScale) -> [Double] {
    guard !rewards.isEmpty else { return [] }
    let mean = rewards.reduce(0, +) / Double(rewards.count)
    let centred = rewards.map { $0 - mean }
    guard scale == .deviation else { return centred }
    let deviation = (centred.reduce(0) { $0 + $1 * $1 } / Double(rewards.count)).squareRoot()
    return centred.map { $0 / (deviation + 1e-4) }
}

extension PolicyGradient {
    /// What the reward adds to the advantage of every token of each trajectory: the coefficient times its group-relative
    /// advantage; 0 where rewards are only measured, and for what no verifier judged.
    /// - Parameter batch: with all samples of a prompt next to each other, as sorting by id puts them.
    package func rewardAdvantages(of batch: [ScoredTrajectory]) -> [Double] {
        var result = [Double](repeating: 0, count: batch.count)
        guard let reward else { return result }
        var start = 0
        while start < batch.count {
            let group = batch[start].trajectory.id.group
            let end = batch[start...].firstIndex { $0.trajectory.id.group != group } ?? batch.count
            let judged = (start..<end).filter { batch[$0].verdict != nil }
            let rewards = judged.map { batch[$0].verdict?.reward ?? 0 }
            for (index, advantage) in zip(judged, groupAdvantages(rewards: rewards, scale: reward.scale)) {
                result[index] = reward.coefficient * advantage
            }
            start = end
        }
        return result
    }
}
