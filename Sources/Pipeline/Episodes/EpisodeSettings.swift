import Environments

/// In which environment episodes are played, and how long they may be.
package struct EpisodeSettings: Sendable {
    package var environment: BuiltInEnvironment
    /// The assistant's turns, at least 1.
    package var maxTurns: Int
    /// Tokens of one turn, at least 1; the whole episode, with what the environment says, has the task's `maxTokens`.
    package var maxTurnTokens: Int
    /// Equal on processes whose episodes are the same.
    package var identity: String

    package init(environment: BuiltInEnvironment, maxTurns: Int, maxTurnTokens: Int, identity: String) {
        self.environment = environment
        self.maxTurns = maxTurns
        self.maxTurnTokens = maxTurnTokens
        self.identity = identity
    }
}

/// How an episode's ids become texts and texts become ids.
package struct EpisodeText: Sendable {
    /// The text of what was sampled in a turn, special tokens left out.
    package var decode: @Sendable ([Int32]) -> String
    /// The ids that follow a turn after which the assistant is told something, up to the beginning of its next turn.
    ///
    /// `isEnded`: whether the turn has the token already that ends an answer.
    package var continuation: @Sendable (_ observation: String, _ isEnded: Bool) throws -> [Int32]

    package init(
        decode: @escaping @Sendable ([Int32]) -> String,
        continuation: @escaping @Sendable (_ observation: String, _ isEnded: Bool) throws -> [Int32]
    ) {
        self.decode = decode
        self.continuation = continuation
    }
}
