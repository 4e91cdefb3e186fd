import Configuration
import Distillation
import Engines
import Environments
import Pipeline
import Templates
import Tokenizers
import Wording

extension RunConfiguration {
    /// The episodes that rollouts are; nil: they are responses of one turn.
    /// - Throws: `UsageError` where there is no such environment.
    func episodes() throws(UsageError) -> EpisodeSettings? {
        guard let name = data.environment.name else { return nil }
        let environment: BuiltInEnvironment
        do {
            environment = try BuiltInEnvironment(named: name)
        } catch {
            throw UsageError("data.environment.name: \(error.message)")
        }
        return EpisodeSettings(
            environment: environment, maxTurns: data.environment.maxTurns,
            maxTurnTokens: data.environment.maxTurnTokens,
            identity: data.environment.identity(of: environment.description))
    }
}

extension EpisodeText {
    /// Texts by a student's tokenizer and its chat template.
    /// - Throws: `UsageError` where an answer and what follows it cannot be told apart.
    init(_ text: ModelText, _ template: ChatTemplate, role: RunConfiguration.Environment.Role) throws {
        let tokenizer = text.tokenizer
        let stops = tokenizer.stopTokenIDs(endOfAnswer: template.endOfAnswer)
        let continuation: TurnContinuation
        do {
            continuation = try TurnContinuation(template, role: role.rawValue)
        } catch {
            throw UsageError("data.environment: \(error)")
        }
        let first = try tokenizer.encode(continuation.text(telling: "x")).first
        guard template.isPlain || first.map(stops.contains) == true else {
            let refusal = continuation.refusal("it ends an answer by no token that ends sampling")
            throw UsageError("data.environment: \(refusal)")
        }
        self.init(decode: { tokenizer.decode($0, skipSpecialTokens: true) }) { observation, isEnded in
            let ids = try tokenizer.encode(continuation.text(telling: observation))
            // The token that ended the answer was sampled, and stands there already.
            return !template.isPlain && isEnded ? Array(ids.dropFirst()) : ids
        }
    }
}
