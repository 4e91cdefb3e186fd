import Tokenizers

extension GGUFMetadata {
    /// The tokenizer that metadata describes, as the tokenizer.json it was made from.
    func tokenizerDefinition() throws -> TokenizerDefinition {
        let model = try string("tokenizer.ggml.model")
        guard model == "gpt2" || model == "llama" else {
            throw ModelError(
                .unsupported,
                "\(file.path): tokenizer '\(model)' is not supported; byte-level BPE ('gpt2') and SentencePiece with scores "
                    + "('llama') are")
        }
        guard let tokens = try optionalStrings("tokenizer.ggml.tokens"), !tokens.isEmpty else {
            throw ModelError(.malformed, "\(file.path): tokenizer.ggml.tokens is missing")
        }
        let types = try optionalInts("tokenizer.ggml.token_type") ?? Array(repeating: 1, count: tokens.count)
        guard types.count == tokens.count, tokens.count <= 1 << 24 else {
            throw ModelError(
                .malformed,
                "\(file.path): tokenizer.ggml.token_type has \(types.count) values for \(tokens.count) tokens")
        }
        var vocabulary: [TokenizerDefinition.VocabularyEntry] = []
        var added: [TokenizerDefinition.AddedToken] = []
        vocabulary.reserveCapacity(tokens.count)
        for (id, token) in tokens.enumerated() {
            // 5: rows of the embedding without a token. 2, 3: unknown, control. 4: added by the model's makers.
            if types[id] == 5 { continue }
            vocabulary.append(.init(token: token, id: Int32(id)))
            if (2...4).contains(types[id]) {
                added.append(.init(id: Int32(id), content: token, isSpecial: types[id] != 4))
            }
        }
        var definition = TokenizerDefinition(
            vocabulary: vocabulary, merges: [], addedTokens: added, preTokenizers: [])
        var startsWithBOS = false
        if model == "llama" {
            try describeSentencePiece(&definition, tokens: tokens, types: types)
            startsWithBOS = true
        } else {
            guard let texts = try optionalStrings("tokenizer.ggml.merges") else {
                throw ModelError(.malformed, "\(file.path): tokenizer.ggml.merges is missing")
            }
            definition.merges = try texts.enumerated().map { rank, text in
                guard let merge = TokenizerDefinition.Merge(text) else {
                    throw ModelError(.malformed, "\(file.path): merge \(rank), '\(text)', is not two tokens")
                }
                return merge
            }
            startsWithBOS = try describePreTokenizer(&definition)
        }
        if try optionalBool("tokenizer.ggml.add_bos_token") ?? startsWithBOS,
            let bos = try optionalInt("tokenizer.ggml.bos_token_id"), tokens.indices.contains(bos)
        {
            definition.template.prefix = [Int32(bos)]
        }
        if try optionalBool("tokenizer.ggml.add_eos_token") ?? false,
            let eos = try optionalInt("tokenizer.ggml.eos_token_id"), tokens.indices.contains(eos)
        {
            definition.template.suffix = [Int32(eos)]
        }
        return definition
    }
}
