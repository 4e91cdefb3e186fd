/// What a tokenizer adds to its vocabulary, as texts that fit a message: with them, whoever has the vocabulary knows a
/// tokenizer that differs in nothing else.
extension Tokenizer {
    /// The added tokens, one text each, as docs/protocol.md spells them: `151643 0000 <|endoftext|>`.
    package var addedTokenTexts: [String] {
        definition.addedTokens.map { token in
            let flags = [token.singleWord, token.stripsLeft, token.stripsRight, token.isNormalized]
            return "\(token.id) \(flags.map { $0 ? "1" : "0" }.joined()) \(token.content)"
        }
    }

    /// This tokenizer with the added tokens that texts tell of in place of its own; nil where they tell of none.
    ///
    /// Whether that is the tokenizer they come from, its fingerprint tells.
    package func replacingAddedTokens(_ texts: [String]) -> Tokenizer? {
        var definition = definition
        definition.addedTokens = []
        for text in texts {
            let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, let id = Int32(parts[0]), id >= 0, parts[1].utf8.count == 4,
                parts[1].utf8.allSatisfy({ $0 == UInt8(ascii: "0") || $0 == UInt8(ascii: "1") })
            else { return nil }
            let flags = parts[1].utf8.map { $0 == UInt8(ascii: "1") }
            definition.addedTokens.append(
                .init(
                    id: id, content: String(parts[2]), singleWord: flags[0], stripsLeft: flags[1],
                    stripsRight: flags[2], isNormalized: flags[3]))
        }
        return try? Tokenizer(definition, file: "a member's tokenizer")
    }
}
