import Templates
import Tokenizers

/// What a person wants to know about a model: the data of `opd inspect`.
package struct ModelSummary: Sendable {
    package let path: String
    /// "Hugging Face folder" or "GGUF file".
    package let format: String
    package let configuration: ModelConfiguration
    package let parameterCount: Int
    /// Types of the stored weights with the number of values of each, the most common first.
    package let storedTypes: [(type: String, count: Int)]
    /// Bytes of the weights on disk.
    package let byteCount: Int
    /// "byte-level BPE, 49152 tokens, 17 special", or why there is none.
    package let tokenizer: String
    package let tokenizerFingerprint: String?
    /// The chat template, or nil when it cannot be read.
    package let template: ChatTemplate?
    /// Where the template comes from, or why it cannot be read.
    package let templateText: String
    /// Tokens that end an answer.
    package let stopTokens: [String]

    package init(_ model: ModelFiles) {
        path = model.path
        switch model.origin {
        case .folder: format = "Hugging Face folder"
        case .gguf: format = "GGUF file"
        }
        configuration = model.configuration
        parameterCount = model.configuration.parameterCount
        var counts: [String: Int] = [:]
        for parameter in model.configuration.parameters {
            if let type = model.source.type(of: parameter.name) { counts[type, default: 0] += parameter.count }
        }
        storedTypes = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
        byteCount = model.source.byteCount
        var template: ChatTemplate?
        do {
            template = try model.chatTemplates().template()
            templateText = template?.reason ?? ""
        } catch {
            templateText = "refused: \(error)"
        }
        self.template = template
        do {
            let tokenizer = try model.loadTokenizer()
            let special = (0..<Int32(tokenizer.vocabularySize)).count { tokenizer.isSpecial($0) }
            self.tokenizer = "byte-level BPE, \(tokenizer.vocabularySize) tokens, \(special) special"
            tokenizerFingerprint = tokenizer.fingerprint
            stopTokens = tokenizer.stopTokenIDs(endOfAnswer: template?.endOfAnswer ?? "").compactMap(tokenizer.token)
        } catch {
            tokenizer = "none: \(error)"
            tokenizerFingerprint = nil
            stopTokens = []
        }
    }

    /// Label and text of every fact, in the order a person reads them.
    package var lines: [(label: String, text: String)] {
        let c = configuration
        var facts = [
            c.tiedEmbeddings ? "tied head" : "own head"
        ]
        if c.attentionInputBias { facts.append(c.attentionOutputBias ? "attention biases" : "q, k, v biases") }
        if c.mlpBias { facts.append("MLP biases") }
        if c.qkNorm { facts.append("q/k norms") }
        let rope =
            switch c.ropeScaling {
            case .none: "theta \(c.ropeTheta)"
            case .linear(let factor): "theta \(c.ropeTheta), linear scaling by \(factor)"
            case .llama3(let factor, let low, let high, let original):
                "theta \(c.ropeTheta), llama3 scaling by \(factor) (low \(low), high \(high), original \(original))"
            }
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
            ("details", facts.joined(separator: ", ")), ("positions", rope), ("context", "\(c.maxPositions)"),
            ("tokenizer", tokenizer),
        ]
        result.append(("template", templateText))
        result.append(("stop tokens", stopTokens.isEmpty ? "none" : stopTokens.joined(separator: " ")))
        return result.map { (label: $0.0, text: $0.1) }
    }
}
