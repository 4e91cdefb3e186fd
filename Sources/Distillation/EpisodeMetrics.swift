/// What the episodes of a batch were like.
package struct EpisodeMetrics: Sendable, Equatable, Codable {
    /// Turns of the student, an episode.
    package var turnsMean: Double
    /// The share of the episodes that ended for each reason: done by the environment's word (`stop`), cut by a limit of
    /// tokens or of turns, or with an environment that failed.
    package var ends: [FinishReason: Double]

    package init(turnsMean: Double, ends: [FinishReason: Double]) {
        self.turnsMean = turnsMean
        self.ends = ends
    }

    /// Nil of no episodes.
    package init?(_ batch: [ScoredTrajectory]) {
        guard !batch.isEmpty else { return nil }
        let count = Double(batch.count)
        turnsMean = Double(batch.reduce(0) { $0 + $1.trajectory.turns }) / count
        ends = [:]
        for reason in FinishReason.allCases {
            ends[reason] = Double(batch.count { $0.trajectory.finishReason == reason }) / count
        }
    }
}
