import Files
import JSON
import Tokenizers

/// The tokens that files beside tokenizer.json name, which transformers gives to the tokenizer when it opens a folder.
struct AddedTokenFiles {
    let folder: String

    private static let config = "tokenizer_config.json"
    private static let map = "special_tokens_map.json"

    /// Tokens of the vocabulary that the folder calls special become added tokens, which are found in any text. A token
    /// that tokenizer.json does not have is refused by name: versions of transformers differ in the id they give it.
    func complete(_ definition: inout TokenizerDefinition) throws {
        let config = try json(Self.config), map = try json(Self.map)
        var added: [String: Int32] = [:]
        for token in definition.addedTokens { added[token.content] = token.id }
        let named = try numbered(config)
        let special = specialTokens(config, Self.config) + specialTokens(map, Self.map)
        guard
            named.contains(where: { added[$0.token.content] != $0.token.id })
                || special.contains(where: { added[$0.content] == nil })
        else { return }
        var ids: [String: Int32] = added
        for entry in definition.vocabulary { ids[entry.token] = entry.id }
        func append(_ token: TokenizerDefinition.AddedToken) {
            guard added.updateValue(token.id, forKey: token.content) == nil else { return }
            definition.addedTokens.append(token)
        }
        for (token, file) in named {
            guard ids[token.content] == token.id else { throw missing(token.content, id: token.id, file: file) }
            append(token)
        }
        for (content, isRendered, file) in special {
            if let id = ids[content] {
                append(.init(id: id, content: content))
            } else if isRendered {
                throw missing(content, id: nil, file: file)
            }
        }
    }

    /// Tokens with their ids, of tokenizer_config.json and of added_tokens.json, in ascending order.
    private func numbered(
        _ config: JSONValue
    ) throws -> [(token: TokenizerDefinition.AddedToken, file: String)] {
        var result: [(token: TokenizerDefinition.AddedToken, file: String)] = []
        for member in config["added_tokens_decoder"]?.object?.members ?? [] {
            guard let id = Int32(member.key), let content = member.value["content"]?.string else { continue }
            func flag(_ key: String) -> Bool { member.value[key]?.bool ?? false }
            let token = TokenizerDefinition.AddedToken(
                id: id, content: content, singleWord: flag("single_word"), stripsLeft: flag("lstrip"),
                stripsRight: flag("rstrip"), isNormalized: flag("normalized"), isSpecial: flag("special"))
            result.append((token, Self.config))
        }
        for member in try json("added_tokens.json").object?.members ?? [] {
            guard let id = member.value.int.flatMap({ Int32(exactly: $0) }) else { continue }
            result.append((.init(id: id, content: member.key, isSpecial: false), "added_tokens.json"))
        }
        return result.sorted { $0.token.id < $1.token.id }
    }

    /// What a file calls special, and whether texts may have it: templates write the begin and the end, and prompts
    /// what has no role; nobody writes padding.
    private func specialTokens(
        _ json: JSONValue, _ file: String
    ) -> [(content: String, isRendered: Bool, file: String)] {
        func content(_ value: JSONValue?) -> String? {
            guard let text = value?.string ?? value?["content"]?.string, !text.isEmpty else { return nil }
            return text
        }
        let rendered = ["bos_token", "eos_token"]
        let roles = rendered + ["unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
        return roles.compactMap { role in content(json[role]).map { ($0, rendered.contains(role), file) } }
            + ["additional_special_tokens", "extra_special_tokens"].flatMap { json[$0]?.array ?? [] }
            .compactMap { value in content(value).map { ($0, true, file) } }
    }

    private func json(_ name: String) throws -> JSONValue {
        let file = folder.appendingPath(name)
        return FileSystem.isFile(file) ? try FileSystem.json(file) : .null
    }

    private func missing(_ content: String, id: Int32?, file: String) -> ModelError {
        ModelError(
            .unsupported,
            "\(folder.appendingPath(file)): token '\(content)'\(id.map { " of id \($0)" } ?? "") is not so in "
                + "tokenizer.json; transformers' AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes it there"
        )
    }
}
