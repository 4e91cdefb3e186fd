import Wire

/// A teacher that grades: what a scorer needs of an engine.
package protocol ScoringBackend: Backend {
    /// What a scorer gives it at once.
    var preferredBatch: ScoringBatch { get }

    /// Log-probabilities in nats of the response tokens of every task, at temperature 1.
    ///
    /// Tasks of one group are neighbours. It is called again before it has returned, up to `preferredBatch.pieces` times.
    func score(_ tasks: [ScoreTask]) async throws -> [[Float]]
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
