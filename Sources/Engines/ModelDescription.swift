import Distillation
import Files
import Templates
import Tokenizers

/// What a run must know of a model before it starts: who reads the same text, what fits, what a pass costs.
package struct ModelDescription: Sendable {
    /// The model's path or address, for messages.
    package var name: String
    /// Identifies everything that maps text to ids.
    package var tokenizerFingerprint: String
    /// Equal where conversations are rendered alike.
    package var templateIdentity: String
    /// Longest sequence, in tokens.
    package var contextLength: Int
    /// Ids are below this.
    package var vocabularySize: Int
    /// The cost of a forward pass; nil: it is not known, and so not counted.
    package var forwardCost: PassCost?
    /// Cost of a forward and backward pass that trains it; nil: three times the forward pass.
    package var trainingCost: PassCost?
    /// Parts of the model that are not read, as its files call them: "vision_tower".
    package var leftOut: [String] = []
    /// How it reads and writes text; nil where the model is known by this description alone.
    package var text: ModelText?

    /// A model whose tokenizer is at hand.
    package init(
        name: String, text: ModelText, contextLength: Int, vocabularySize: Int, forwardCost: PassCost?,
        trainingCost: PassCost? = nil
    ) {
        self.init(
            name: name, tokenizerFingerprint: text.tokenizer.fingerprint, templateIdentity: text.templates.identity,
            contextLength: contextLength, vocabularySize: vocabularySize, forwardCost: forwardCost)
        self.trainingCost = trainingCost
        self.text = text
    }

    /// A model that is somewhere else.
    package init(
        name: String, tokenizerFingerprint: String, templateIdentity: String, contextLength: Int, vocabularySize: Int,
        forwardCost: PassCost?
    ) {
        self.name = name
        self.tokenizerFingerprint = tokenizerFingerprint
        self.templateIdentity = templateIdentity
        self.contextLength = contextLength
        self.vocabularySize = vocabularySize
        self.forwardCost = forwardCost
    }
}

/// How a model reads and writes text.
package struct ModelText: Sendable {
    /// Tokenizer, with the tokens that start and end a sequence.
    package var tokenizer: Tokenizer
    /// Templates that the model brings, with its special tokens.
    package var templates: ModelTemplates

    package init(tokenizer: Tokenizer, templates: ModelTemplates) {
        self.tokenizer = tokenizer
        self.templates = templates
    }
}

extension ModelTemplates {
    /// Equal for templates that render every conversation alike, and short enough to be sent.
    package var identity: String {
        let bytes = Array(canonicalText.utf8)
        guard !bytes.isEmpty else { return "plain" }
        return "template-\(bytes.count)-\(String(bytes.withUnsafeBytes { crc32($0) }, radix: 16))"
    }
}
