import Tokenizers

// Names of pre-tokenizers as github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp knows them, with the patterns
// of the tokenizer.json that each stands for. A name that is not here is refused: a near pattern gives other ids.

extension GGUFMetadata {
    /// Llama 3's.
    static let llama3Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    /// Qwen2's.
    static let qwen2Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    /// Qwen3.5's: marks belong to words.
    static let qwen35Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|"#
        + #"\s+(?!\S)|\s+"#
    /// Mistral's Tekken.
    static let tekkenPattern =
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"#
        + #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"#
        + #"\s*[\r\n]+|\s+(?!\S)|\s+"#
    /// GPT-4o's, which Phi-4-mini has, too.
    static let gpt4oPattern =
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"#
        + #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"#
        + #"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    /// The last of DeepSeek V3's three.
    static let deepseekPattern =
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"##
        + #"\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// Fills in how a byte-level tokenizer cuts texts; returns whether its texts start with the begin-of-text token when
    /// the file says nothing of it.
    func describePreTokenizer(_ definition: inout TokenizerDefinition) throws -> Bool {
        let prefixSpace = try optionalBool("tokenizer.ggml.add_space_prefix") ?? false
        func bytes(useRegex: Bool) -> TokenizerDefinition.PreTokenizer {
            .byteLevel(addPrefixSpace: prefixSpace, useRegex: useRegex)
        }
        func patterns(_ patterns: String...) -> [TokenizerDefinition.PreTokenizer] {
            patterns.map { .split(.regex($0), .isolated, invert: false) } + [bytes(useRegex: false)]
        }
        switch try optionalString("tokenizer.ggml.pre") ?? "missing" {
        case "gpt-2", "gpt2", "phi-2", "olmo": definition.preTokenizers = [bytes(useRegex: true)]
        // Granite 3 is "refact", after the model whose cut it shares.
        case "smollm", "refact", "starcoder":
            definition.preTokenizers = [.digits(individual: true), bytes(useRegex: true)]
        case "llama-bpe", "llama3", "llama-v3":
            definition.preTokenizers = patterns(Self.llama3Pattern)
            definition.ignoresMerges = true
            return true
        // OLMo 2's.
        case "dbrx", "smaug-bpe": definition.preTokenizers = patterns(Self.llama3Pattern)
        case "qwen2", "deepseek-r1-qwen":
            definition.normalizers = [.nfc]
            definition.preTokenizers = patterns(Self.qwen2Pattern)
        case "qwen35":
            definition.normalizers = [.nfc]
            definition.preTokenizers = patterns(Self.qwen35Pattern)
        case "tekken":
            definition.preTokenizers = patterns(Self.tekkenPattern)
            definition.ignoresMerges = true
            return true
        case "gpt-4o": definition.preTokenizers = patterns(Self.gpt4oPattern)
        case "deepseek-v3":
            definition.preTokenizers = patterns(#"\p{N}{1,3}"#, "[一-龥぀-ゟ゠-ヿ]+", Self.deepseekPattern)
        case let pre:
            throw ModelError(
                .unsupported,
                "\(file.path): pre-tokenizer '\(pre)' is not supported; gpt-2, phi-2, olmo, smollm, refact, starcoder, "
                    + "llama-bpe, dbrx, qwen2, qwen35, tekken, gpt-4o and deepseek-v3 are")
        }
        return false
    }
}
