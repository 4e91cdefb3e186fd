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
    private var tokens: TokenSequence
    private var logprobs: [Float] = []
    private var versions = PolicyVersions([])
    private var reward: Double?
    private var turns = 0

    package init(_ task: RolloutTask, _ settings: EpisodeSettings) {
        self.task = task
        self.settings = settings
        tokens = TokenSequence(promptIDs: task.promptIDs, responseIDs: [])
    }

    /// How its environment begins it.
    package var start: EpisodeStart { EpisodeStart(fields: task.episode, seed: task.seed) }

    /// The turn to sample now: behind everything before it, with the random numbers of its positions.
    package var nextTurn: RolloutTask {
        var turn = task
        turn.promptIDs = tokens.ids
        turn.firstPosition = tokens.responseIDs.count
        turn.sampling.maxTokens = min(settings.maxTurnTokens, task.sampling.maxTokens - tokens.responseIDs.count)
        return turn
    }

    /// What becomes of a turn that was sampled.
    package enum Taken: Sendable {
        /// The environment is to answer this text.
        case says(String)
        /// The whole episode, which ends with the turn.
        case ends(Trajectory)
    }

    /// Takes a sampled turn.
    package mutating func take(_ turn: Trajectory, _ text: EpisodeText) -> Taken {
        turns += 1
        tokens.responseIDs += turn.responseIDs
        logprobs += turn.behaviourLogprobs
        for run in turn.policyVersions.runs { versions.append(run.version, count: run.count) }
        // A turn that is cut has not said what it meant to.
        guard turn.finishReason == .stop else { return .ends(finished(.length)) }
        return .says(text.decode(turn.responseIDs))
    }

    /// Takes the environment's answer to the turn that was taken last.
    /// - Returns: the whole episode where it ends there; nil: the next turn is to be sampled.
    package mutating func hear(_ step: EnvironmentStep, _ text: EpisodeText) throws -> Trajectory? {
        reward = step.reward ?? reward
        if step.isDone { return finished(.stop) }
        guard turns < settings.maxTurns else { return finished(.turns) }
        let isEnded = tokens.responseIDs.last.map(task.sampling.stopTokenIDs.contains) ?? false
        let said = try text.continuation(step.observation, step.role, isEnded)
        // There must be room for a token more, so that an episode ends with one that was sampled.
        guard tokens.responseIDs.count + said.count < task.sampling.maxTokens else { return finished(.length) }
        if !said.isEmpty {
            tokens.given.append(tokens.responseIDs.count..<tokens.responseIDs.count + said.count)
            tokens.responseIDs += said
        }
        return nil
    }

    /// The episode as far as it has come, its environment having failed: it is worth nothing.
    package mutating func abandoned() -> Trajectory {
        reward = nil
        return finished(.environment)
    }

    private func finished(_ reason: FinishReason) -> Trajectory {
        var trajectory = Trajectory(
            id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: tokens.responseIDs,
            behaviourLogprobs: logprobs, policyVersions: versions, finishReason: reason,
            temperature: task.sampling.temperature)
        trajectory.tokens.given = tokens.given
        if settings.givesReward { trajectory.reward = reward ?? 0 }
        return trajectory
    }
}
