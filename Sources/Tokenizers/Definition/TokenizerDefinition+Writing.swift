import JSON

extension TokenizerDefinition {
    /// The tokenizer.json of this definition; the Hugging Face tokenizers library gives the same ids with it.
    package var json: JSONValue {
        let tokenText = Dictionary(
            vocabulary.map { ($0.id, $0.token) } + addedTokens.map { ($0.id, $0.content) }, uniquingKeysWith: { $1 })
        let words = vocabulary.sorted { $0.id < $1.id }.map {
            JSONObject.Member(key: $0.token, value: .integer(Int($0.id)))
        }
        let model: JSONObject = [
            "type": "BPE",
            "dropout": .null,
            "unk_token": unknownToken.map(JSONValue.string) ?? .null,
            "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null,
            "fuse_unk": .bool(fusesUnknown),
            "byte_fallback": .bool(false),
            "ignore_merges": .bool(ignoresMerges),
            "vocab": .object(JSONObject(words)),
            "merges": .array(merges.map { .array([.string($0.left), .string($0.right)]) }),
        ]
        let whole: JSONObject = [
            "version": .string("1.0"),
            "truncation": .null,
            "padding": .null,
            // They stay in their order: those that the vocabulary lacks are numbered by it.
            "added_tokens": .array(addedTokens.map(\.json)),
            "normalizer": Self.sequence(
                normalizers.map { ["type": .string($0.rawValue)] }, key: "normalizers"),
            "pre_tokenizer": Self.sequence(preTokenizers.map(\.json), key: "pretokenizers"),
            "post_processor": template.json(tokenText: tokenText),
            "decoder": Self.byteLevel,
            "model": .object(model),
        ]
        return .object(whole)
    }

    static let byteLevel: JSONValue = [
        "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
    ]

    private static func sequence(_ parts: [JSONValue], key: String) -> JSONValue {
        switch parts.count {
        case 0: .null
        case 1: parts[0]
        default: .object(["type": "Sequence", key: .array(parts)])
        }
    }
}

extension TokenizerDefinition.AddedToken {
    fileprivate var json: JSONValue {
        [
            "id": .integer(Int(id)), "content": .string(content), "single_word": .bool(singleWord),
            "lstrip": .bool(stripsLeft), "rstrip": .bool(stripsRight), "normalized": .bool(isNormalized),
            "special": .bool(isSpecial),
        ]
    }
}

extension TokenizerDefinition.PreTokenizer {
    fileprivate var json: JSONValue {
        switch self {
        case .digits(let individual): ["type": "Digits", "individual_digits": .bool(individual)]
        case .byteLevel(let addPrefixSpace, let useRegex):
            [
                "type": "ByteLevel", "add_prefix_space": .bool(addPrefixSpace), "trim_offsets": true,
                "use_regex": .bool(useRegex),
            ]
        case .split(let pattern, let behavior, let invert):
            switch pattern {
            case .regex(let text):
                [
                    "type": "Split", "pattern": ["Regex": .string(text)], "behavior": .string(behavior.rawValue),
                    "invert": .bool(invert),
                ]
            case .string(let text):
                [
                    "type": "Split", "pattern": ["String": .string(text)], "behavior": .string(behavior.rawValue),
                    "invert": .bool(invert),
                ]
            }
        }
    }
}

extension TokenizerDefinition.Template {
    fileprivate func json(tokenText: [Int32: String]) -> JSONValue {
        guard !prefix.isEmpty || !suffix.isEmpty else { return .null }
        func piece(_ id: Int32) -> JSONValue {
            ["SpecialToken": ["id": .string(tokenText[id] ?? "\(id)"), "type_id": 0]]
        }
        func text(_ name: String) -> JSONValue { ["Sequence": ["id": .string(name), "type_id": 0]] }
        let before = prefix.map(piece)
        let after = suffix.map(piece)
        var tokens = JSONObject()
        for id in prefix + suffix {
            let name = tokenText[id] ?? "\(id)"
            tokens[name] = ["id": .string(name), "ids": [.integer(Int(id))], "tokens": [.string(name)]]
        }
        return [
            "type": "TemplateProcessing",
            "single": .array(before + [text("A")] + after),
            "pair": .array(before + [text("A")] + after + before + [text("B")] + after),
            "special_tokens": .object(tokens),
        ]
    }
}
