import Distillation

/// Where every accepted response token is: generated = trained + discarded + in flight, always.
package struct Ledger: Sendable, Equatable {
    /// Tokens of training rollouts.
    package private(set) var counts: TokenCounts
    /// Tokens of held-out rollouts, which no batch ever holds.
    package private(set) var evaluationTokens: UInt64 = 0
    /// Tokens graded by a teacher, training and held-out.
    package private(set) var gradedTokens: UInt64 = 0

    /// A fresh ledger, or one that continues from a checkpoint: what was in flight then is given up, for it is
    /// sampled again.
    package init(restoring counts: TokenCounts = TokenCounts()) {
        self.counts = counts
        self.counts.discarded += counts.inFlight
        self.counts.inFlight = 0
    }

    /// A result was accepted.
    mutating func accept(tokens: Int, kind: RolloutKind) {
        switch kind {
        case .train:
            counts.generated += UInt64(tokens)
            counts.inFlight += UInt64(tokens)
        case .evaluation:
            evaluationTokens += UInt64(tokens)
        }
    }

    mutating func grade(tokens: Int) { gradedTokens += UInt64(tokens) }

    /// Accepted tokens were trained on.
    mutating func train(tokens: Int) {
        precondition(counts.inFlight >= UInt64(tokens), "tokens can be trained once only")
        counts.inFlight -= UInt64(tokens)
        counts.trained += UInt64(tokens)
    }

    /// Accepted tokens were given up.
    mutating func discard(tokens: Int) {
        precondition(counts.inFlight >= UInt64(tokens), "tokens can be given up once only")
        counts.inFlight -= UInt64(tokens)
        counts.discarded += UInt64(tokens)
    }
}
