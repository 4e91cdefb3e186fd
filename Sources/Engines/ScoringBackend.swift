import Wire

/// A teacher that grades: what a scorer needs of an engine.
package protocol ScoringBackend: Backend {
    /// What a scorer gives it at once.
    var preferredBatch: ScoringBatch { get }

    /// Log-probabilities in nats of the response tokens `ids[promptCount...]` of every task, at temperature 1.
    ///
    /// Tasks of one group are neighbours.
    func score(_ tasks: [ScoreTask]) async throws -> [[Float]]
}

/// How much an engine grades at once.
package struct ScoringBatch: Sendable, Equatable {
    /// Tokens of all sequences; a longer sequence is graded alone.
    package var tokens: Int
    /// Sequences, which a scorer holds at once.
    package var tasks: Int

    package init(tokens: Int, tasks: Int) {
        self.tokens = tokens
        self.tasks = tasks
    }
}
