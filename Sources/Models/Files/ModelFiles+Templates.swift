import Files
import JSON
import Templates

extension ModelFiles {
    /// The chat templates that the model brings, with its special tokens.
    package func chatTemplates() throws -> ModelTemplates {
        switch origin {
        case .gguf(let file): try Self.chatTemplates(GGUFMetadata(file: file), configuration)
        case .folder: try Self.chatTemplates(folder: path)
        }
    }

    /// The chat templates of a model folder, a GGUF file or a file that is one template; weights need not be there.
    package static func openTemplates(_ path: String) throws -> ModelTemplates {
        if FileSystem.isDirectory(path) {
            let names = ["tokenizer_config.json", "chat_template.jinja", "chat_template.json", "config.json"]
            let isFolder = names.contains { FileSystem.isFile(path.appendingPath($0)) }
            return isFolder ? try chatTemplates(folder: path) : try open(path).chatTemplates()
        }
        guard FileSystem.isFile(path) else {
            throw ModelError(.unreadable, "\(path): no such model folder, GGUF file or template")
        }
        if path.hasSuffix(".gguf") { return try open(path).chatTemplates() }
        return ModelTemplates([.init(name: "default", source: try text(path), file: path)])
    }

    /// The chat templates of a folder, whose weights need not be there: chat_template.jinja goes before
    /// tokenizer_config.json and that before chat_template.json; files of additional_chat_templates are named ones.
    package static func chatTemplates(folder: String) throws -> ModelTemplates {
        func json(_ name: String) throws -> JSONValue {
            let file = folder.appendingPath(name)
            return FileSystem.isFile(file) ? try FileSystem.json(file) : .null
        }
        let config = try json("tokenizer_config.json")
        var result = ModelTemplates()
        func add(_ name: String, _ source: String?, _ file: String) {
            guard let source, !source.isEmpty, !result.entries.contains(where: { $0.name == name }) else { return }
            result.entries.append(.init(name: name, source: source, file: folder.appendingPath(file)))
        }
        let file = folder.appendingPath("chat_template.jinja")
        if FileSystem.isFile(file) { add("default", try text(file), "chat_template.jinja") }
        let additional = folder.appendingPath("additional_chat_templates")
        if FileSystem.isDirectory(additional) {
            for name in try FileSystem.names(in: additional).sorted() where name.hasSuffix(".jinja") {
                let file = "additional_chat_templates/\(name)"
                add(String(name.dropLast(6)), try text(folder.appendingPath(file)), file)
            }
        }
        for (value, file) in [
            (config["chat_template"], "tokenizer_config.json"),
            (try json("chat_template.json")["chat_template"], "chat_template.json"),
        ] where result.entries.isEmpty {
            add("default", value?.string, file)
            for entry in value?.array ?? [] { add(entry["name"]?.string ?? "", entry["template"]?.string, file) }
        }
        result.variables = specialTokens(config, try json("special_tokens_map.json"))
        return result
    }

    private static func text(_ file: String) throws -> String {
        guard let text = String(validating: try FileSystem.read(file), as: UTF8.self) else {
            throw ModelError(.malformed, "\(file): not UTF-8")
        }
        return text
    }

    /// Special tokens by the names that transformers passes them under: texts, or objects with their contents.
    private static func specialTokens(_ config: JSONValue, _ map: JSONValue) -> JSONObject {
        var result = JSONObject()
        let known = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
        for source in [config, map] {
            let named = [
                source, source["extra_special_tokens"] ?? .null, source["model_specific_special_tokens"] ?? .null,
            ]
            for member in named.flatMap({ $0.object?.members ?? [] })
            where known.contains(member.key) || member.key.hasSuffix("_token") {
                guard result[member.key] == nil, let token = member.value.string ?? member.value["content"]?.string
                else { continue }
                result[member.key] = .string(token)
            }
        }
        return result
    }

    private static func chatTemplates(
        _ metadata: GGUFMetadata, _ configuration: ModelConfiguration
    ) throws -> ModelTemplates {
        var result = ModelTemplates()
        let prefix = "tokenizer.chat_template"
        let names = metadata.file.metadata.keys.filter { $0.hasPrefix(prefix + ".") }.sorted()
        for key in [prefix] + names {
            guard let source = try metadata.optionalString(key), !source.isEmpty else { continue }
            let name = key == prefix ? "default" : String(key.dropFirst(prefix.count + 1))
            result.entries.append(.init(name: name, source: source, file: "\(metadata.file.path) (\(key))"))
        }
        let tokens = try metadata.optionalStrings("tokenizer.ggml.tokens") ?? []
        for (name, id) in [
            ("bos_token", configuration.bosTokenID), ("eos_token", configuration.eosTokenIDs.first),
            ("unk_token", try metadata.optionalInt("tokenizer.ggml.unknown_token_id")),
            ("pad_token", configuration.padTokenID),
        ] {
            if let id, tokens.indices.contains(id) { result.variables[name] = .string(tokens[id]) }
        }
        return result
    }
}
