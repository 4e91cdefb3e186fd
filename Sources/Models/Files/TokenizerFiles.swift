import Files
import JSON
import Tokenizers

extension ModelFiles {
    /// Names and texts of the tokenizer files that belong to this model in a Hugging Face folder.
    package func tokenizerFiles() throws -> [(name: String, text: String)] {
        switch origin {
        case .folder:
            let additional = path.appendingPath("additional_chat_templates")
            let templates = FileSystem.isDirectory(additional) ? try FileSystem.names(in: additional).sorted() : []
            return try
                ([
                    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
                    "chat_template.json", "added_tokens.json", "vocab.json", "merges.txt",
                ] + templates.filter { $0.hasSuffix(".jinja") }.map { "additional_chat_templates/\($0)" }).compactMap {
                    name in
                    let file = path.appendingPath(name)
                    guard FileSystem.isFile(file) else { return nil }
                    return (name, String(decoding: try FileSystem.read(file), as: UTF8.self))
                }
        case .gguf(let file): return try synthesizedTokenizerFiles(file)
        }
    }

    /// tokenizer.json and its companions from a GGUF file's metadata.
    private func synthesizedTokenizerFiles(_ file: GGUFFile) throws -> [(name: String, text: String)] {
        let metadata = GGUFMetadata(file: file)
        let definition = try metadata.tokenizerDefinition()
        let tokenizer = try Tokenizer(definition, file: file.path)
        var special = JSONObject()
        func add(_ name: String, _ id: Int?) {
            if let id, let token = tokenizer.token(Int32(truncatingIfNeeded: id)) { special[name] = .string(token) }
        }
        add("bos_token", configuration.bosTokenID)
        add("eos_token", configuration.eosTokenIDs.first)
        add("pad_token", configuration.padTokenID)
        add("unk_token", try metadata.optionalInt("tokenizer.ggml.unknown_token_id"))

        var config: JSONObject = ["added_tokens_decoder": .object(addedTokensDecoder(definition))]
        config.members += special.members
        config["clean_up_tokenization_spaces"] = false
        config["model_max_length"] = .integer(configuration.maxPositions)
        // The class that takes tokenizer.json as it is, in transformers 4 and 5.
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        let templates = try chatTemplates().entries
        if templates.count == 1 {
            config["chat_template"] = .string(templates[0].source)
        } else if !templates.isEmpty {
            config["chat_template"] = .array(
                templates.map { ["name": .string($0.name), "template": .string($0.source)] })
        }
        return [
            ("tokenizer.json", definition.json.text() + "\n"),
            ("tokenizer_config.json", JSONValue.object(config).text() + "\n"),
            ("special_tokens_map.json", JSONValue.object(special).text() + "\n"),
        ]
    }

    private func addedTokensDecoder(_ definition: TokenizerDefinition) -> JSONObject {
        JSONObject(
            definition.addedTokens.map { token in
                .init(
                    key: "\(token.id)",
                    value: [
                        "content": .string(token.content), "lstrip": .bool(token.stripsLeft),
                        "normalized": .bool(token.isNormalized), "rstrip": .bool(token.stripsRight),
                        "single_word": .bool(token.singleWord), "special": .bool(token.isSpecial),
                    ])
            })
    }
}
