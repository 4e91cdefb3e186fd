import Distillation
import Files
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
    /// Nil: not known, and so not counted.
    package var forwardCost: PassCost?
    /// Cost of a forward and backward pass that trains it; nil: three times the forward pass.
    package var trainingCost: PassCost?
    /// Parts of the model that are not read, as its files call them: "vision_tower".
    package var leftOut: [String] = []
    /// Nil where the model is known by this description alone.
    package var text: ModelText?

    /// A model whose tokenizer is at hand.
    package init(
        name: String, text: ModelText, contextLength: Int, vocabularySize: Int, forwardCost: PassCost?,
        trainingCost: PassCost? = nil
    ) {
        self.init(
            name: name, tokenizerFingerprint: text.tokenizer.fingerprint, templateIdentity: text.template.identity,
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
    /// The template of the model's chats.
    package var template: ChatTemplate

    package init(tokenizer: Tokenizer, template: ChatTemplate) {
        self.tokenizer = tokenizer
        self.template = template
    }

    /// The template that chats are rendered with: the model's own for "auto", or a form by name ("chatml", "llama3",
    /// "mistral", "plain").
    ///
    /// A name that is the form of the model's own template gives that, with its variations.
    package func template(named name: String) throws -> ChatTemplate {
        if name == "auto" || name == template.kind.rawValue { return template }
        return try ChatTemplate.named(name)
    }

    /// Ids that end an answer: the model's end-of-sequence tokens and the template's.
    package func stopTokenIDs(_ template: ChatTemplate) -> [Int32] {
        var ids = tokenizer.endOfSequenceIDs
        for id in template.stopTokens.compactMap(tokenizer.id(of:)) where !ids.contains(id) { ids.append(id) }
        return ids
    }
}

extension ChatTemplate {
    /// Equal for templates that render every conversation alike, and short enough to be sent.
    fileprivate var identity: String {
        let bytes = Array(canonicalText.utf8)
        return "\(kind.rawValue)-\(bytes.count)-\(String(bytes.withUnsafeBytes { crc32($0) }, radix: 16))"
    }
}
