/// How a student is trained.
package struct TrainerOptions: Sendable, Equatable {
    /// Compute threads, at least 1.
    package var threads: Int
    /// Most tokens of one forward and backward pass.
    package var tokenBudget: Int
    package var optimizer: AdamWSettings
    /// Teachers with whose whole distributions the student is compared, by label: the trainer reads their heads.
    package var heads: [String: ModelReference]
    /// Teachers that are an average of the student's weights, by label, with what of the average is kept in a step.
    package var averages: [String: Double]

    package init(
        threads: Int, tokenBudget: Int, optimizer: AdamWSettings, heads: [String: ModelReference] = [:],
        averages: [String: Double] = [:]
    ) {
        self.threads = threads
        self.tokenBudget = tokenBudget
        self.optimizer = optimizer
        self.heads = heads
        self.averages = averages
    }
}

/// The optimizer, AdamW, but for its learning rate, which every step is given.
package struct AdamWSettings: Sendable, Equatable {
    package var beta1: Float
    package var beta2: Float
    package var epsilon: Float
    /// Decoupled, on every parameter.
    package var weightDecay: Float
    /// Largest global norm of the gradient; 0 or less is off.
    package var clipGradNorm: Float

    package init(beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float, clipGradNorm: Float) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.clipGradNorm = clipGradNorm
    }
}

/// How a model samples.
package struct SamplerOptions: Sendable, Equatable {
    /// Sequences sampled at once, at least 1; it changes no result of an engine that is reproducible.
    package var slots: Int
    /// Compute threads, at least 1.
    package var threads: Int
    /// Whether new weights compute the caches of sequences under way anew, so that a token has the log-probability that
    /// its version gives it; otherwise what older versions have computed stays in them.
    package var renewsCaches: Bool

    package init(slots: Int, threads: Int, renewsCaches: Bool = false) {
        self.slots = slots
        self.threads = threads
        self.renewsCaches = renewsCaches
    }
}

/// How a teacher grades.
package struct ScorerOptions: Sendable, Equatable {
    /// Compute threads, at least 1.
    package var threads: Int

    package init(threads: Int) { self.threads = threads }
}
