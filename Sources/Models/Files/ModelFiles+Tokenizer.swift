import Files
import JSON
import Tokenizers

extension ModelFiles {
    /// The model's tokenizer, with the tokens that start and end a sequence.
    package func loadTokenizer() throws -> Tokenizer {
        var tokenizer: Tokenizer
        switch origin {
        case .folder: tokenizer = try Self.tokenizer(json: path.appendingPath("tokenizer.json"))
        case .gguf(let file):
            tokenizer = try Tokenizer(GGUFMetadata(file: file).tokenizerDefinition(), file: file.path)
        }
        guard tokenizer.vocabularySize <= configuration.vocabularySize else {
            throw ModelError(
                .malformed,
                "\(path): the tokenizer has \(tokenizer.vocabularySize) tokens, the model \(configuration.vocabularySize)"
            )
        }
        tokenizer.endOfSequenceIDs = configuration.eosTokenIDs.map(Int32.init)
        tokenizer.beginOfSequenceID = configuration.bosTokenID.map(Int32.init)
        return tokenizer
    }

    /// The tokenizer of a model folder, a tokenizer.json or a GGUF file; weights need not be there.
    package static func openTokenizer(_ path: String) throws -> Tokenizer {
        if FileSystem.isDirectory(path) {
            let json = path.appendingPath("tokenizer.json")
            if FileSystem.isFile(json) || FileSystem.isFile(path.appendingPath("tokenizer.model")) {
                return try tokenizer(json: json)
            }
            return try open(path).loadTokenizer()
        }
        guard FileSystem.isFile(path) else {
            throw ModelError(.unreadable, "\(path): no such model folder, tokenizer.json or GGUF file")
        }
        if path.hasSuffix(".json") { return try tokenizer(json: path) }
        return try Tokenizer(GGUFMetadata(file: try GGUFFile(path)).tokenizerDefinition(), file: path)
    }

    private static func tokenizer(json path: String) throws -> Tokenizer {
        guard FileSystem.isFile(path) else {
            let folder = String(path.dropLast("/tokenizer.json".count))
            if FileSystem.isFile(folder.appendingPath("tokenizer.model")) {
                throw ModelError(
                    .unsupported,
                    "\(folder): tokenizer.model without tokenizer.json is not supported; transformers' "
                        + "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes tokenizer.json beside it"
                )
            }
            throw ModelError(.unreadable, "\(path): missing; this model needs its tokenizer.json")
        }
        return try Tokenizer(json: try FileSystem.read(path), file: path)
    }

    /// The template that chats are rendered with: the model's own for "auto", or a form by name
    /// ("chatml", "llama3", "mistral", "plain").
    ///
    /// A name that is the form of the model's own template gives that, with its variations.
    package func chatTemplate(named name: String = "auto") throws -> ChatTemplate {
        let (jinja, bos, eos) = try chatTemplateSource()
        let own = ChatTemplate.recognizing(jinja: jinja, beginOfSequence: bos, endOfSequence: eos)
        if name == "auto" || name == own.kind.rawValue { return own }
        return try ChatTemplate.named(name)
    }

    /// Ids that end an answer: the model's end-of-sequence tokens and the template's.
    package func stopTokenIDs(_ tokenizer: Tokenizer, _ template: ChatTemplate) -> [Int32] {
        var ids = configuration.eosTokenIDs.map(Int32.init)
        for id in template.stopTokens.compactMap(tokenizer.id(of:)) where !ids.contains(id) { ids.append(id) }
        return ids
    }

    /// The Jinja template and what `bos_token` and `eos_token` stand for in it.
    func chatTemplateSource() throws -> (jinja: String?, bos: String?, eos: String?) {
        switch origin {
        case .gguf(let file):
            let metadata = GGUFMetadata(file: file)
            let tokens = try metadata.optionalStrings("tokenizer.ggml.tokens") ?? []
            func token(_ id: Int?) -> String? { id.flatMap { tokens.indices.contains($0) ? tokens[$0] : nil } }
            return (
                try metadata.optionalString("tokenizer.chat_template"), token(configuration.bosTokenID),
                token(configuration.eosTokenIDs.first)
            )
        case .folder:
            let file = path.appendingPath("tokenizer_config.json")
            let config = FileSystem.isFile(file) ? try FileSystem.json(file) : .null
            func text(_ value: JSONValue?) -> String? { value?.string ?? value?["content"]?.string }
            return (try jinja(config), text(config["bos_token"]), text(config["eos_token"]))
        }
    }

    private func jinja(_ config: JSONValue) throws -> String? {
        let file = path.appendingPath("chat_template.jinja")
        if FileSystem.isFile(file) { return String(decoding: try FileSystem.read(file), as: UTF8.self) }
        var value = config["chat_template"]
        let json = path.appendingPath("chat_template.json")
        if value == nil, FileSystem.isFile(json) { value = try FileSystem.json(json)["chat_template"] }
        if let list = value?.array {
            // Several by name; the default is for chats without tools.
            value = (list.first { $0["name"]?.string == "default" } ?? list.first)?["template"]
        }
        return value?.string
    }
}
