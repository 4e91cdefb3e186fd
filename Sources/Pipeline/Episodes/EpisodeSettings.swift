import Environments

/// How long episodes may be, and what they give.
package struct EpisodeSettings: Sendable {
    /// The assistant's turns, at least 1.
    package var maxTurns: Int
    /// Tokens of one turn, at least 1; the whole episode, with what the environment says, has the task's `maxTokens`.
    package var maxTurnTokens: Int
    /// Whether every episode has a reward, 0 where it was cut short.
    package var givesReward: Bool
    /// Equal on processes whose episodes are the same.
    package var identity: String

    package init(maxTurns: Int, maxTurnTokens: Int, givesReward: Bool, identity: String) {
        self.maxTurns = maxTurns
        self.maxTurnTokens = maxTurnTokens
        self.givesReward = givesReward
        self.identity = identity
    }
}

/// What answers the turns of episodes.
package enum EpisodeWorld: Sendable {
    /// At once.
    case builtIn(BuiltInEnvironment)
    /// Later, or not at all.
    case service(any EnvironmentService)

    /// Ends what answers, for good.
    package func close() async {
        if case .service(let service) = self { await service.close() }
    }
}

/// How an episode's ids become texts and texts become ids.
package struct EpisodeText: Sendable {
    /// The text of what was sampled in a turn, special tokens left out.
    package var decode: @Sendable ([Int32]) -> String
    /// The ids that follow a turn after which the assistant is told something, up to the beginning of its next turn.
    ///
    /// `role`: who tells it; nil: whoever does so in this run. `isEnded`: whether the turn has the token already that ends
    /// an answer.
    package var continuation: Continuation
    package typealias Continuation =
        @Sendable (_ observation: String, _ role: ObservationRole?, _ isEnded: Bool) throws -> [Int32]

    package init(
        decode: @escaping @Sendable ([Int32]) -> String,
        continuation: @escaping Continuation
    ) {
        self.decode = decode
        self.continuation = continuation
    }
}
