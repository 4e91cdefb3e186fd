import Distillation
import Wire

/// A teacher that grades: what a scorer needs of an engine.
package protocol ScoringBackend: Backend {
    /// What a scorer gives it at once.
    var preferredBatch: ScoringBatch { get }

    /// Log-probabilities in nats of the response tokens of every task, at temperature 1.
    ///
    /// Tasks of one group are neighbours. It is called again before it has returned, up to `preferredBatch.pieces` times.
    func score(_ tasks: [ScoreTask]) async throws -> [[Float]]

    /// The most tokens of whose probability it can tell at every position beside the response's; 0: none.
    var mostTopTokens: Int { get }

    /// The head that makes logits of the last hidden states, where it can give these; nil: it cannot.
    var sharedHead: SharedHead? { get }

    /// What every task asks for, with the promises of `score`.
    func grade(_ tasks: [ScoreTask]) async throws -> [Grade]
}

extension ScoringBackend {
    package var mostTopTokens: Int { 0 }
    package var sharedHead: SharedHead? { nil }

    package func grade(_ tasks: [ScoreTask]) async throws -> [Grade] {
        if let task = tasks.first(where: { $0.request != .sampled }) {
            throw EngineError("rollout \(task.id) asks for more than the sampled token's grade, which is all there is")
        }
        return try await score(tasks).map { Grade(logprobs: $0) }
    }
}

/// How much an engine grades at once.
package struct ScoringBatch: Sendable, Equatable {
    /// Tokens of all sequences; a longer sequence is graded alone.
    package var tokens: Int
    /// Sequences.
    package var tasks: Int
    /// How many such batches are under way at once. A scorer holds the tasks of all of them.
    package var pieces: Int

    package init(tokens: Int, tasks: Int, pieces: Int = 1) {
        self.tokens = tokens
        self.tasks = tasks
        self.pieces = pieces
    }
}
