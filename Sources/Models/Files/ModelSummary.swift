import Tokenizers

/// What a person wants to know about a model: the data of `opd inspect`.
package struct ModelSummary: Sendable {
    package let path: String
    /// "Hugging Face folder" or "GGUF file".
    package let format: String
    package let configuration: ModelConfiguration
    /// Parts of the folder that are not read.
    package let leftOut: [String]
    package let parameterCount: Int
    /// Types of the stored weights with the number of values of each, the most common first.
    package let storedTypes: [(type: String, count: Int)]
    /// Bytes of the weights on disk.
    package let byteCount: Int
    /// "byte-level BPE, 49152 tokens, 17 special", or why there is none.
    package let tokenizer: String
    package let tokenizerFingerprint: String?
    /// The chat template, or nil when its files cannot be read.
    package let template: ChatTemplate?
    /// Tokens that end an answer.
    package let stopTokens: [String]

    package init(_ model: ModelFiles) {
        path = model.path
        switch model.origin {
        case .folder: format = "Hugging Face folder"
        case .gguf: format = "GGUF file"
        }
        configuration = model.configuration
        leftOut = model.leftOut
        parameterCount = model.configuration.parameterCount
        var counts: [String: Int] = [:]
        for parameter in model.configuration.parameters {
            if let type = model.source.type(of: parameter.name) { counts[type, default: 0] += parameter.count }
        }
        storedTypes = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
        byteCount = model.source.byteCount
        let template = try? model.chatTemplate()
        self.template = template
        do {
            let tokenizer = try model.loadTokenizer()
            let special = (0..<Int32(tokenizer.vocabularySize)).count { tokenizer.isSpecial($0) }
            self.tokenizer = "byte-level BPE, \(tokenizer.vocabularySize) tokens, \(special) special"
            tokenizerFingerprint = tokenizer.fingerprint
            stopTokens = (template.map { model.stopTokenIDs(tokenizer, $0) } ?? tokenizer.endOfSequenceIDs)
                .compactMap(tokenizer.token)
        } catch {
            tokenizer = "none: \(error)"
            tokenizerFingerprint = nil
            stopTokens = []
        }
    }

    /// Label and text of every fact, in the order a person reads them.
    package var lines: [(label: String, text: String)] {
        let c = configuration
        let rotary = c.slidingRope.map { "\(c.rope), in sliding layers \($0)" } ?? "\(c.rope)"
        let total = max(1, storedTypes.reduce(0) { $0 + $1.count })
        let types = storedTypes.map { "\($0.type) \($0.count * 100 / total)%" }.joined(separator: ", ")
        var result = [
            ("model", path), ("format", format), ("family", c.family.name),
            ("parameters", "\(parameterCount)"), ("stored as", "\(types), \(byteCount / 1_000_000) MB"),
            (
                "shape",
                "\(c.layerCount) layers, hidden \(c.hiddenSize), \(c.headCount) heads (\(c.keyValueHeadCount) key-value) "
                    + "of \(c.headDimension), MLP \(c.intermediateSize), vocabulary \(c.vocabularySize)"
            ),
            ("details", c.details.joined(separator: ", ")), ("positions", rotary), ("context", "\(c.maxPositions)"),
            ("tokenizer", tokenizer),
        ]
        if !leftOut.isEmpty { result.append(("left out", leftOut.joined(separator: ", "))) }
        if let template {
            result.append(("template", "\(template.kind.rawValue) (\(template.reason))"))
            if let system = template.defaultSystem { result.append(("default system", system)) }
        }
        result.append(("stop tokens", stopTokens.isEmpty ? "none" : stopTokens.joined(separator: " ")))
        return result.map { (label: $0.0, text: $0.1) }
    }
}

extension ModelConfiguration {
    /// What sets the model apart from others, in a few words each.
    fileprivate var details: [String] {
        var details = [tiedEmbeddings ? "tied head" : "own head"]
        if attentionInputBias { details.append(attentionOutputBias ? "attention biases" : "q, k, v biases") }
        if mlpBias { details.append("MLP biases") }
        if qkNorm { details.append("q/k norms") }
        if let experts {
            let layers = experts.layers.count == layerCount ? "all" : "\(experts.layers.count)"
            details.append(
                "\(experts.count) experts of width \(experts.intermediateSize) in \(layers) layers, "
                    + "\(experts.perToken) a token")
        }
        if activation != .silu { details.append("gates of \(activation.transformersName)") }
        let sliding = (0..<layerCount).count { kind(ofLayer: $0).isSliding }
        if let slidingWindow, sliding > 0 {
            details.append("window of \(slidingWindow) in \(sliding == layerCount ? "all" : "\(sliding)") layers")
        }
        let unrotated = (0..<layerCount).count { !kind(ofLayer: $0).hasRope }
        if unrotated > 0 { details.append("\(unrotated) layers without positions") }
        if rotaryDimension != headDimension { details.append("\(rotaryDimension) rotated columns a head") }
        for (name, multiplier, plain) in [
            ("embeddings", multipliers.embedding, Float(1)), ("residual additions", multipliers.residual, 1),
            ("scores", multipliers.attention ?? 0, 0),
        ] where multiplier != plain { details.append("\(name) times \(multiplier)") }
        if multipliers.logitDivisor != 1 { details.append("logits divided by \(multipliers.logitDivisor)") }
        if let attentionSoftCap { details.append("scores capped at \(attentionSoftCap)") }
        if let logitSoftCap { details.append("logits capped at \(logitSoftCap)") }
        return details
    }
}

extension Rope: CustomStringConvertible {
    package var description: String {
        switch scaling {
        case .none: "theta \(theta)"
        case .linear(let factor): "theta \(theta), linear scaling by \(factor)"
        case .llama3(let factor, let low, let high, let original):
            "theta \(theta), llama3 scaling by \(factor) (low \(low), high \(high), original \(original))"
        case .yarn(let yarn):
            "theta \(theta), yarn scaling by \(yarn.factor) (original \(yarn.originalMaxPositions), "
                + "attention factor \(yarn.attentionFactor))"
        case .longRope(let long):
            "theta \(theta), longrope (original \(long.originalMaxPositions), longer sequences by factors of their own)"
        }
    }
}
