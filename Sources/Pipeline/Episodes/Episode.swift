import Distillation
import Environments
import Tokens
import Wire

/// One episode: a response of several turns, between which an environment has its say.
///
/// It knows neither engine nor clock: it says what is to be sampled next, and takes what was. What was sampled stays the
/// ids that were sampled: only what the environment says is tokenised, and put behind them.
package struct Episode: Sendable {
    private let task: RolloutTask
    private let settings: EpisodeSettings
    private var environment: any Environment
    private var tokens: TokenSequence
    private var logprobs: [Float] = []
    private var versions = PolicyVersions([])
    private var reward: Double?
    private var turns = 0

    package init(_ task: RolloutTask, _ settings: EpisodeSettings) {
        self.task = task
        self.settings = settings
        environment = settings.environment.make()
        environment.reset(EpisodeStart(fields: task.episode, seed: task.seed))
        tokens = TokenSequence(promptIDs: task.promptIDs, responseIDs: [])
    }

    /// The turn to sample now: behind everything before it, with the random numbers of its positions.
    package var nextTurn: RolloutTask {
        var turn = task
        turn.promptIDs = tokens.ids
        turn.firstPosition = tokens.responseIDs.count
        turn.sampling.maxTokens = min(settings.maxTurnTokens, task.sampling.maxTokens - tokens.responseIDs.count)
        return turn
    }

    /// Takes a sampled turn, and has the environment answer it.
    /// - Returns: the whole episode where it ends with this turn; nil: the next turn is to be sampled.
    package mutating func take(_ turn: Trajectory, _ text: EpisodeText) throws -> Trajectory? {
        turns += 1
        tokens.responseIDs += turn.responseIDs
        logprobs += turn.behaviourLogprobs
        for run in turn.policyVersions.runs { versions.append(run.version, count: run.count) }
        // A turn that is cut has not said what it meant to.
        guard turn.finishReason == .stop else { return finished(.length) }
        let step = environment.step(text.decode(turn.responseIDs))
        reward = step.reward ?? reward
        if step.isDone { return finished(.stop) }
        guard turns < settings.maxTurns else { return finished(.length) }
        let isEnded = turn.responseIDs.last.map(task.sampling.stopTokenIDs.contains) ?? false
        let said = try text.continuation(step.observation, isEnded)
        // There must be room for a token more, so that an episode ends with one that was sampled.
        guard tokens.responseIDs.count + said.count < task.sampling.maxTokens else { return finished(.length) }
        if !said.isEmpty {
            tokens.given.append(tokens.responseIDs.count..<tokens.responseIDs.count + said.count)
            tokens.responseIDs += said
        }
        return nil
    }

    private func finished(_ reason: FinishReason) -> Trajectory {
        var trajectory = Trajectory(
            id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: tokens.responseIDs,
            behaviourLogprobs: logprobs, policyVersions: versions, finishReason: reason,
            temperature: task.sampling.temperature)
        trajectory.tokens.given = tokens.given
        if settings.environment.givesReward { trajectory.reward = reward ?? 0 }
        return trajectory
    }
}
