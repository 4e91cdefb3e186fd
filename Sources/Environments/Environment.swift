/// A world in which an episode of several turns is played: it answers what an assistant says.
///
/// A value of its own for every episode. What it answers depends on how the episode began and on what was said, on
/// nothing else, so that an episode which is played again is the same.
package protocol Environment: Sendable {
    /// Begins an episode.
    mutating func reset(_ start: EpisodeStart)

    /// Answers the assistant's turn.
    /// - Parameter text: what it said, without the token that ended it.
    mutating func step(_ text: String) -> EnvironmentStep
}

/// How an episode begins.
package struct EpisodeStart: Sendable, Equatable {
    /// The prompt's fields, a JSON object; nil where there are none.
    package var fields: String?
    /// The task's seed: the samples of one prompt have one.
    package var seed: UInt64

    package init(fields: String? = nil, seed: UInt64) {
        self.fields = fields
        self.seed = seed
    }
}

/// What an environment answers.
package struct EnvironmentStep: Sendable, Equatable {
    /// What the assistant is told before its next turn; of no matter where the episode is done.
    package var observation: String
    /// What the episode is worth as far as it has come, 0 ... 1; nil: what it was worth before.
    package var reward: Double?
    /// Whether the episode ends here.
    package var isDone: Bool

    package init(_ observation: String, reward: Double? = nil, isDone: Bool = false) {
        self.observation = observation
        self.reward = reward
        self.isDone = isDone
    }

    /// The end of an episode.
    package static func done(reward: Double? = nil) -> EnvironmentStep {
        EnvironmentStep("", reward: reward, isDone: true)
    }
}
