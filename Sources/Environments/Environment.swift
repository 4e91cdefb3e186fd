import Wording

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
    /// As whom it speaks, where that is not as the run's environment does.
    package var role: ObservationRole?

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

/// As whom an environment speaks in the conversation.
package enum ObservationRole: String, Sendable, CaseIterable { case user, tool }

/// Environments of many episodes that are asked and answer later, such as programs.
package protocol EnvironmentService: Sendable {
    /// Answers the assistant's next turn in an episode, which begins with its first one.
    /// - Parameter episode: another number for every episode, and for one that is played again.
    func step(_ episode: UInt64, _ start: EpisodeStart, _ text: String) async throws(EnvironmentFailure)
        -> EnvironmentStep

    /// Forgets an episode that ended otherwise than by an answer.
    func end(_ episode: UInt64) async

    /// Ends the service itself; nothing is answered any more.
    func close() async
}

/// Why an episode has lost its environment.
package struct EnvironmentFailure: MessageError, Equatable {
    package let message: String
    /// Whether what was said in the episode may have caused it; else another one of the same environment did.
    package var isOwn: Bool
    /// Whether no episode will be answered any more.
    package var isFinal: Bool

    package init(_ message: String, isOwn: Bool = true, isFinal: Bool = false) {
        self.message = message
        self.isOwn = isOwn
        self.isFinal = isFinal
    }
}
