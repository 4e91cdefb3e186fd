import Environments

extension RunConfiguration {
    /// The environment in which rollouts are episodes of several turns.
    package struct Environment: Sendable, Equatable {
        /// Which one, with its parameters; nil: rollouts are responses of one turn.
        package var name: String?
        package var maxTurns = 4
        /// Tokens of one turn.
        package var maxTurnTokens = 64
        /// As whom the environment speaks in the conversation.
        package var role = Role.user
        package init() {}

        package enum Role: String, Sendable, CaseIterable { case user, tool }

        /// Equal on processes whose episodes are the same.
        /// - Parameter name: the environment's full name.
        package func identity(of name: String) -> String {
            "\(name), \(maxTurns) turns of \(maxTurnTokens) tokens, as \(role.rawValue)"
        }
    }

    /// What keeps rollouts from being episodes.
    var environmentContradictions: [(key: String, message: String)] {
        guard let name = data.environment.name else { return [] }
        var found: [(key: String, message: String)] = []
        func conflict(_ key: String, _ isGiven: Bool, _ message: String) {
            if isGiven { found.append((key, message)) }
        }
        do {
            _ = try BuiltInEnvironment(named: name)
        } catch {
            found.append(("data.environment.name", error.message))
        }
        conflict(
            "data.environment.name", kind.sampler != .student,
            "with objective.kind \(objective.kind.rawValue) the student plays no episodes; leave it out")
        conflict(
            "student.engine", student.engine != .native,
            "torch trains no episodes of data.environment; leave one of them out")
        conflict(
            "rollout.engine", rollout.engine != .native,
            "\(rollout.engine.rawValue) samples no episodes of data.environment; leave one of them out")
        conflict(
            "sampling.ignore_eos", sampling.ignoreEOS, "no turn of data.environment would end; leave one of them out")
        conflict(
            "evaluation.teachers", evaluation.teachers,
            "teachers play no episodes of data.environment; set it to false")
        return found
    }
}

extension ConfigurationSchema {
    /// Keys of the environment in which rollouts are episodes.
    static let environmentKeys: [ConfigurationKey] = [
        .optionalText(
            "data.environment.name", \.data.environment.name,
            "environment in which rollouts are episodes: calculator, guess:limit=N or grid:size=N; without it there is none"
        ),
        .integer(
            "data.environment.max_turns", \.data.environment.maxTurns, 1...1000, "turns of the student in an episode"),
        .integer(
            "data.environment.max_turn_tokens", \.data.environment.maxTurnTokens, 1...1_000_000,
            "longest turn, in tokens; sampling.max_tokens is the longest episode, with what the environment says"),
        .choice(
            "data.environment.role", \.data.environment.role, "as whom the environment speaks in the conversation"),
    ]
}
