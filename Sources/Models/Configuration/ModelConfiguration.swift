import Rules

/// The shape of a model: everything the engine needs to know besides the weights.
///
/// Sizes are positive and bounded, `headCount` is a multiple of `keyValueHeadCount`, `headDimension` is one of
/// 8, 16 ... 256: ``validate(in:)`` has seen to it for every configuration read from a file.
package struct ModelConfiguration: Sendable, Equatable {
    package var family: Family
    package var vocabularySize: Int
    package var hiddenSize: Int
    package var intermediateSize: Int
    package var layerCount: Int
    package var headCount: Int
    package var keyValueHeadCount: Int
    package var headDimension: Int
    package var rmsNormEpsilon: Float
    package var ropeTheta: Double
    package var ropeScaling: RopeScaling
    /// Positions the model was made for: the context.
    package var maxPositions: Int
    /// The head shares the embedding's weights.
    package var tiedEmbeddings: Bool
    /// Biases on the q, k and v projections.
    package var attentionInputBias: Bool
    /// A bias on the o projection.
    package var attentionOutputBias: Bool
    /// Biases on gate, up and down projections.
    package var mlpBias: Bool
    /// RMS norms of queries and keys: of every head by itself (Qwen 3), or of all at once where the schema's norms are as
    /// wide (OLMo 2).
    package var qkNorm: Bool
    package var bosTokenID: Int?
    package var padTokenID: Int?
    /// Every token that ends a sequence: union of config.json and generation_config.json, in that order.
    package var eosTokenIDs: [Int]
    package var activation = GateActivation.silu
    package var multipliers = Multipliers()
    /// Scores s of attention become cap * tanh(s / cap); nil: they stay.
    package var attentionSoftCap: Float?
    /// The same of logits.
    package var logitSoftCap: Float?
    /// Positions that a query of a sliding layer sees, its own included; nil where no layer slides.
    package var slidingWindow: Int?
    /// What is particular of each layer, one element a layer; no elements at all where every layer is plain.
    package var layerKinds: [LayerKind] = []
    /// Part of a head's columns that positions turn, its first.
    package var partialRotaryFactor = 1.0
    /// The rotary embedding of sliding layers where it is another than that of the others (Gemma 3).
    package var slidingRope: Rope?
    /// The mixtures of experts; nil where every layer has a plain feed-forward network.
    package var experts: ExpertShape?

    package init(
        family: Family, vocabularySize: Int, hiddenSize: Int, intermediateSize: Int, layerCount: Int,
        headCount: Int, keyValueHeadCount: Int, headDimension: Int, rmsNormEpsilon: Float = 1e-6,
        ropeTheta: Double = 10000, ropeScaling: RopeScaling = .none, maxPositions: Int = 2048,
        tiedEmbeddings: Bool = false, attentionInputBias: Bool = false, attentionOutputBias: Bool = false,
        mlpBias: Bool = false, qkNorm: Bool = false, bosTokenID: Int? = nil, padTokenID: Int? = nil,
        eosTokenIDs: [Int] = []
    ) {
        self.family = family
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.intermediateSize = intermediateSize
        self.layerCount = layerCount
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headDimension = headDimension
        self.rmsNormEpsilon = rmsNormEpsilon
        self.ropeTheta = ropeTheta
        self.ropeScaling = ropeScaling
        self.maxPositions = maxPositions
        self.tiedEmbeddings = tiedEmbeddings
        self.attentionInputBias = attentionInputBias
        self.attentionOutputBias = attentionOutputBias
        self.mlpBias = mlpBias
        self.qkNorm = qkNorm
        self.bosTokenID = bosTokenID
        self.padTokenID = padTokenID
        self.eosTokenIDs = eosTokenIDs
    }

    package func kind(ofLayer layer: Int) -> LayerKind { layerKinds.isEmpty ? .plain : layerKinds[layer] }

    /// Columns of a head that positions turn, its first.
    package var rotaryDimension: Int { Int(Double(headDimension) * partialRotaryFactor) }

    /// The longest sequence whose positions turn by the frequencies of short ones; nil where all do.
    package var longRopeAbove: Int? { [rope.longAbove, slidingRope?.longAbove].compactMap(\.self).min() }

    /// The rotary embedding of most layers.
    package var rope: Rope { Rope(theta: ropeTheta, scaling: ropeScaling) }

    /// Checks that sizes are positive, bounded and fit each other; `file` is named in the error.
    package func validate(in file: String) throws {
        func check(_ condition: Bool, _ message: @autoclosure () -> String) throws {
            guard condition else { throw ModelError(.malformed, "\(file): \(message())") }
        }
        // Bounds far above any model there is, and low enough that no product of two overflows.
        for (name, value, bound) in [
            ("vocab_size", vocabularySize, 1 << 24), ("hidden_size", hiddenSize, 1 << 20),
            ("intermediate_size", intermediateSize, 1 << 22), ("num_hidden_layers", layerCount, 1 << 12),
            ("num_attention_heads", headCount, 1 << 12), ("num_key_value_heads", keyValueHeadCount, 1 << 12),
            ("head_dim", headDimension, 256), ("max_position_embeddings", maxPositions, 1 << 30),
        ] {
            try check((1...bound).contains(value), "\(name) is \(value); it must be between 1 and \(bound)")
        }
        try check(
            headCount % keyValueHeadCount == 0,
            "num_attention_heads \(headCount) is not a multiple of num_key_value_heads \(keyValueHeadCount)")
        // What the kernels' registers and buffers hold, AttentionShape.
        try check(headDimension % 8 == 0, "head_dim \(headDimension) is not supported; it must be a multiple of 8")
        try check(
            rmsNormEpsilon.isFinite && rmsNormEpsilon >= 0, "rms_norm_eps \(rmsNormEpsilon) is not a small number")
        try validateRotation(in: file)
        try validateLayers(in: file)
        for (name, id) in [("bos_token_id", bosTokenID), ("pad_token_id", padTokenID)] {
            // Some files say -1 for "none"; those were mapped to nil before.
            if let id { try check((0..<vocabularySize).contains(id), "\(name) \(id) is outside the vocabulary") }
        }
        for id in eosTokenIDs {
            try check((0..<vocabularySize).contains(id), "eos_token_id \(id) is outside the vocabulary")
        }
    }
}

extension ModelConfiguration {
    /// The same model with a head of its own, and the names of that and of the embeddings, whose values it has; nil where
    /// it has one already.
    package var untied: (configuration: ModelConfiguration, headName: String, embeddingName: String)? {
        guard tiedEmbeddings else { return nil }
        var configuration = self
        configuration.tiedEmbeddings = false
        return (configuration, schema.head.weight, schema.embedding.weight)
    }
}
