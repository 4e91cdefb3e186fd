import Tokenizers

extension GGUFMetadata {
    /// Pattern of Llama 3's tokenizer.json.
    static let llama3Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    /// Pattern of Qwen2's tokenizer.json.
    static let qwen2Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// The tokenizer that metadata describes, as the tokenizer.json it was made from.
    func tokenizerDefinition() throws -> TokenizerDefinition {
        let model = try string("tokenizer.ggml.model")
        guard model == "gpt2" else {
            throw ModelError(
                .unsupported, "\(file.path): tokenizer '\(model)' is not supported; byte-level BPE ('gpt2') is")
        }
        guard let tokens = try optionalStrings("tokenizer.ggml.tokens"), !tokens.isEmpty else {
            throw ModelError(.malformed, "\(file.path): tokenizer.ggml.tokens is missing")
        }
        guard let mergeTexts = try optionalStrings("tokenizer.ggml.merges") else {
            throw ModelError(.malformed, "\(file.path): tokenizer.ggml.merges is missing")
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
        let merges = try mergeTexts.enumerated().map { rank, text in
            guard let merge = TokenizerDefinition.Merge(text) else {
                throw ModelError(.malformed, "\(file.path): merge \(rank), '\(text)', is not two tokens")
            }
            return merge
        }
        var definition = TokenizerDefinition(
            vocabulary: vocabulary, merges: merges, addedTokens: added, preTokenizers: [])
        let prefixSpace = try optionalBool("tokenizer.ggml.add_space_prefix") ?? false
        var startsWithBOS = false
        switch try optionalString("tokenizer.ggml.pre") ?? "missing" {
        case "gpt-2", "gpt2":
            definition.preTokenizers = [.byteLevel(addPrefixSpace: prefixSpace, useRegex: true)]
        case "smollm":
            definition.preTokenizers = [
                .digits(individual: true), .byteLevel(addPrefixSpace: prefixSpace, useRegex: true),
            ]
        case "llama-bpe", "llama3", "llama-v3":
            definition.preTokenizers = [
                .split(.regex(Self.llama3Pattern), .isolated, invert: false),
                .byteLevel(addPrefixSpace: prefixSpace, useRegex: false),
            ]
            definition.ignoresMerges = true
            startsWithBOS = true
        case "qwen2":
            definition.normalizers = [.nfc]
            definition.preTokenizers = [
                .split(.regex(Self.qwen2Pattern), .isolated, invert: false),
                .byteLevel(addPrefixSpace: prefixSpace, useRegex: false),
            ]
        case let pre:
            throw ModelError(
                .unsupported,
                "\(file.path): pre-tokenizer '\(pre)' is not supported; gpt-2, smollm, llama-bpe and qwen2 are")
        }
        if try optionalBool("tokenizer.ggml.add_bos_token") ?? startsWithBOS,
            let bos = try optionalInt("tokenizer.ggml.bos_token_id"), tokens.indices.contains(bos)
        {
            definition.template.prefix = [Int32(bos)]
        }
        return definition
    }
}
