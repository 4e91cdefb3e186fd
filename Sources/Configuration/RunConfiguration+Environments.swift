import Environments

extension RunConfiguration {
    /// The environment in which rollouts are episodes of several turns.
    package struct Environment: Sendable, Equatable {
        /// A built-in one, with its parameters; nil: none.
        package var name: String?
        /// A program and its arguments; none: no program.
        package var command: [String] = []
        /// Episodes that one program plays at once.
        package var slots = 1
        /// Whether the program gives rewards.
        package var rewards = true
        /// How long a program may take for its first answer, and for each later one.
        package var startSeconds = 60.0
        package var answerSeconds = 30.0
        /// Megabytes of address space of each process of a program; 0: no limit.
        package var memoryMegabytes = 4096
        package var maxTurns = 4
        /// Tokens of one turn.
        package var maxTurnTokens = 64
        /// As whom the environment speaks in the conversation.
        package var role = ObservationRole.user
        package init() {}

        /// Whether rollouts are episodes; else they are responses of one turn.
        package var isGiven: Bool { name != nil || !command.isEmpty }

        /// Equal on processes whose episodes are the same. A program is what each machine has of it.
        package var identity: String {
            let what = name.map { (try? BuiltInEnvironment(named: $0).description) ?? $0 }
            let program = "a program \(rewards ? "with" : "without") rewards"
            return "\(what ?? program), \(maxTurns) turns of \(maxTurnTokens) tokens, as \(role.rawValue)"
        }
    }

    /// What keeps rollouts from being episodes.
    var environmentContradictions: [(key: String, message: String)] {
        let environment = data.environment, standard = Environment()
        var found: [(key: String, message: String)] = []
        func conflict(_ key: String, _ isGiven: Bool, _ message: String) {
            if isGiven { found.append((key, message)) }
        }
        if environment.command.isEmpty {
            let reason = "is about a program; give data.environment.command, or leave it out"
            conflict("data.environment.slots", environment.slots != standard.slots, reason)
            conflict("data.environment.rewards", environment.rewards != standard.rewards, reason)
            conflict("data.environment.start_s", environment.startSeconds != standard.startSeconds, reason)
            conflict("data.environment.answer_s", environment.answerSeconds != standard.answerSeconds, reason)
            conflict("data.environment.memory_mb", environment.memoryMegabytes != standard.memoryMegabytes, reason)
        }
        guard environment.isGiven else { return found }
        let key = environment.command.isEmpty ? "data.environment.name" : "data.environment.command"
        conflict(
            key, environment.name != nil && !environment.command.isEmpty, "data.environment.name is given too; give one"
        )
        if let name = environment.name {
            do {
                _ = try BuiltInEnvironment(named: name)
            } catch {
                found.append(("data.environment.name", error.message))
            }
        }
        conflict(
            key, kind.sampler != .student,
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
            "environment in which rollouts are episodes: calculator, guess:limit=N or grid:size=N; without it and a command there is none"
        ),
        .texts(
            "data.environment.command", \.data.environment.command,
            "a program that is the environment, and its arguments, such as [python3, world.py]"),
        .integer(
            "data.environment.slots", \.data.environment.slots, 1...65_536,
            "command: episodes that one program plays at once"
        ),
        .flag("data.environment.rewards", \.data.environment.rewards, "command: whether the program gives rewards"),
        .number(
            "data.environment.start_s", \.data.environment.startSeconds, 0.1...86_400,
            "command: seconds from a program's start to its first answer, at most"),
        .number(
            "data.environment.answer_s", \.data.environment.answerSeconds, 0.1...86_400,
            "command: seconds for each later answer, at most"),
        .integer(
            "data.environment.memory_mb", \.data.environment.memoryMegabytes, 0...1_000_000_000,
            "command: megabytes of address space of each process of a program, at most; 0: no limit"),
        .integer(
            "data.environment.max_turns", \.data.environment.maxTurns, 1...1000, "turns of the student in an episode"),
        .integer(
            "data.environment.max_turn_tokens", \.data.environment.maxTurnTokens, 1...1_000_000,
            "longest turn, in tokens; sampling.max_tokens is the longest episode, with what the environment says"),
        .choice(
            "data.environment.role", \.data.environment.role, "as whom the environment speaks in the conversation"),
    ]
}
