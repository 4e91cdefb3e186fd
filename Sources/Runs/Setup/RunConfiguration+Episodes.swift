import Configuration
import Distillation
import Engines
import EnvironmentPrograms
import Environments
import Logging
import Pipeline
import Templates
import Tokenizers
import Wording

extension RunConfiguration {
    /// The episodes that rollouts are; nil: they are responses of one turn.
    /// - Throws: `UsageError` where there is no such environment.
    func episodes() throws(UsageError) -> EpisodeSettings? {
        guard data.environment.isGiven else { return nil }
        return EpisodeSettings(
            maxTurns: data.environment.maxTurns, maxTurnTokens: data.environment.maxTurnTokens,
            givesReward: try builtInEnvironment()?.givesReward ?? data.environment.rewards,
            identity: data.environment.identity)
    }

    /// Nil where a program is the environment, or there is none.
    func builtInEnvironment() throws(UsageError) -> BuiltInEnvironment? {
        guard let name = data.environment.name else { return nil }
        do {
            return try BuiltInEnvironment(named: name)
        } catch {
            throw UsageError("data.environment.name: \(error.message)")
        }
    }

    /// The program that is the environment; nil where none is.
    /// - Parameter log: file for what it writes to its standard error.
    func environmentProgram(log: String) -> ProgramSettings? {
        let environment = data.environment
        guard !environment.command.isEmpty else { return nil }
        return ProgramSettings(
            command: environment.command, slots: environment.slots,
            mostPrograms: (pipeline.slots + environment.slots - 1) / environment.slots,
            givesReward: environment.rewards, startLimit: .seconds(environment.startSeconds),
            answerLimit: .seconds(environment.answerSeconds),
            addressSpace: environment.memoryMegabytes == 0 ? nil : UInt64(environment.memoryMegabytes) << 20,
            samplesPerPrompt: data.samplesPerPrompt, logPath: log)
    }

    /// What answers the episodes of this process; nil where there are none.
    /// - Parameter log: file for what a program writes to its standard error.
    func episodeWorld(log: String, logger: Logger) throws(UsageError) -> EpisodeWorld? {
        if let environment = try builtInEnvironment() { return .builtIn(environment) }
        return environmentProgram(log: log).map { .service(ProgramPool($0, logger: logger)) }
    }

    /// Tries the program that is the environment with a prompt.
    /// - Throws: `UsageError` where it does not do as it should.
    func tryEnvironment(beginning prompt: Prompt?, log: String) async throws {
        guard let program = environmentProgram(log: log) else { return }
        let start = EpisodeStart(fields: prompt?.episode, seed: seed)
        guard let flaw = await ProgramPool.flaw(of: program, beginning: start) else { return }
        throw UsageError("data.environment.command: \(flaw)")
    }
}

extension EpisodeText {
    /// Texts by a student's tokenizer and its chat template.
    /// - Throws: `UsageError` where an answer and what follows it cannot be told apart.
    init(_ text: ModelText, _ template: ChatTemplate, role: ObservationRole) throws {
        let tokenizer = text.tokenizer
        let stops = tokenizer.stopTokenIDs(endOfAnswer: template.endOfAnswer)
        var continuations: [ObservationRole: TurnContinuation] = [:]
        var refusals: [ObservationRole: String] = [:]
        for role in ObservationRole.allCases {
            do {
                continuations[role] = try TurnContinuation(template, role: role.rawValue)
            } catch {
                refusals[role] = "\(error)"
            }
        }
        guard let own = continuations[role] else {
            throw UsageError("data.environment: \(refusals[role] ?? role.rawValue)")
        }
        let first = try tokenizer.encode(own.text(telling: "x")).first
        guard template.isPlain || first.map(stops.contains) == true else {
            throw UsageError("data.environment: \(own.refusal("it ends an answer by no token that ends sampling"))")
        }
        let known = continuations, unknown = refusals
        self.init(decode: { tokenizer.decode($0, skipSpecialTokens: true) }) { observation, given, isEnded in
            guard let continuation = known[given ?? role] else {
                let reason = unknown[given ?? role] ?? ""
                throw EnvironmentFailure(
                    "the environment speaks as '\((given ?? role).rawValue)': \(reason)", isFinal: true)
            }
            let ids = try tokenizer.encode(continuation.text(telling: observation))
            // The token that ended the answer was sampled, and stands there already.
            return !template.isPlain && isEnded ? Array(ids.dropFirst()) : ids
        }
    }
}
