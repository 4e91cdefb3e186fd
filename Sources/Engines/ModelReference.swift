import Wire

/// A model as a configuration names it; an engine makes of it what it computes with.
package struct ModelReference: Sendable, Equatable {
    /// Hugging Face folder, GGUF file, or folder with one GGUF; for a server's model the folder of its tokenizer.
    package var path: String
    package var type: WeightType
    /// What alone is trained and sent out; nil: all weights.
    package var adapters: AdapterOptions?
    /// The servers that compute it; nil: this process does, or one that it starts.
    package var server: ServerReference?
    /// How torch computes it, in processes beside this one; nil: torch does not.
    package var torch: TorchReference?

    package init(path: String, type: WeightType, adapters: AdapterOptions? = nil) {
        self.path = path
        self.type = type
        self.adapters = adapters
    }
}

/// Low-rank adapters beside a model's matrices.
package struct AdapterOptions: Sendable, Equatable {
    /// Rank of the adapters, at least 1.
    package var rank: Int
    /// Adapters count alpha / rank times.
    package var alpha: Float
    /// The projections of every layer that have adapters, as Hugging Face checkpoints name them; none: all.
    package var targets: [String]
    /// Seed of the values with which training begins.
    package var seed: UInt64

    package init(rank: Int, alpha: Float, targets: [String], seed: UInt64) {
        self.rank = rank
        self.alpha = alpha
        self.targets = targets
        self.seed = seed
    }
}

/// The shape of a model that is made from scratch; it reads bytes.
package struct InitialShape: Sendable, Equatable {
    package var layers: Int
    /// Width of the residual stream; a multiple of `heads`.
    package var hidden: Int
    package var heads: Int
    /// Divides `heads`.
    package var keyValueHeads: Int
    /// Width of the feed-forward layers.
    package var intermediate: Int
    /// Longest sequence, in tokens.
    package var context: Int

    package init(layers: Int, hidden: Int, heads: Int, keyValueHeads: Int, intermediate: Int, context: Int) {
        self.layers = layers
        self.hidden = hidden
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.intermediate = intermediate
        self.context = context
    }
}
