extension TokenizerDefinition {
    /// A tokenizer without merges, for models of a few million parameters: ids 0 ... 255 are the bytes of the text, the
    /// special tokens follow.
    ///
    /// It is a byte-level BPE tokenizer like any other, so `json` of it loads in the Hugging Face libraries.
    package static func bytes(specialTokens: [String]) -> TokenizerDefinition {
        TokenizerDefinition(
            vocabulary: ByteAlphabet.letters.enumerated().map {
                VocabularyEntry(token: String(Character($1)), id: Int32($0))
            },
            merges: [],
            addedTokens: specialTokens.enumerated().map { AddedToken(id: Int32(256 + $0), content: $1) },
            preTokenizers: [.byteLevel(addPrefixSpace: false, useRegex: false)])
    }
}
