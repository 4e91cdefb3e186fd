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
            "byte_fallback": .bool(fallsBackToBytes),
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
            "normalizer": Self.sequence(normalizers.map(\.json), key: "normalizers"),
            "pre_tokenizer": Self.sequence(preTokenizers.map(\.json), key: "pretokenizers"),
            "post_processor": template.json(tokenText: tokenText),
            "decoder": decoders.isEmpty
                ? ["type": "Sequence", "decoders": []] : Self.sequence(decoders.map(\.json), key: "decoders"),
            "model": .object(model),
        ]
        return .object(whole)
    }

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

extension TokenizerDefinition.Pattern {
    fileprivate var json: JSONValue {
        switch self {
        case .regex(let text): ["Regex": .string(text)]
        case .string(let text): ["String": .string(text)]
        }
    }
}

extension TokenizerDefinition.Metaspace {
    fileprivate var json: JSONValue {
        [
            "type": "Metaspace", "replacement": .string(replacement), "prepend_scheme": .string(prependScheme.rawValue),
            "split": .bool(splits),
        ]
    }
}

extension TokenizerDefinition.Normalizer {
    fileprivate var json: JSONValue {
        switch self {
        case .nfc: ["type": "NFC"]
        case .nfd: ["type": "NFD"]
        case .nfkc: ["type": "NFKC"]
        case .nfkd: ["type": "NFKD"]
        case .lowercase: ["type": "Lowercase"]
        case .strip(let left, let right): ["type": "Strip", "strip_left": .bool(left), "strip_right": .bool(right)]
        case .prepend(let text): ["type": "Prepend", "prepend": .string(text)]
        case .replace(let pattern, let content):
            ["type": "Replace", "pattern": pattern.json, "content": .string(content)]
        }
    }
}

extension TokenizerDefinition.PreTokenizer {
    fileprivate var json: JSONValue {
        switch self {
        case .digits(let individual): ["type": "Digits", "individual_digits": .bool(individual)]
        case .punctuation(let behavior): ["type": "Punctuation", "behavior": .string(behavior.rawValue)]
        case .whitespace: ["type": "Whitespace"]
        case .whitespaceSplit: ["type": "WhitespaceSplit"]
        case .metaspace(let metaspace): metaspace.json
        case .byteLevel(let addPrefixSpace, let useRegex):
            [
                "type": "ByteLevel", "add_prefix_space": .bool(addPrefixSpace), "trim_offsets": true,
                "use_regex": .bool(useRegex),
            ]
        case .split(let pattern, let behavior, let invert):
            [
                "type": "Split", "pattern": pattern.json, "behavior": .string(behavior.rawValue),
                "invert": .bool(invert),
            ]
        }
    }
}

extension TokenizerDefinition.Decoder {
    fileprivate var json: JSONValue {
        switch self {
        case .byteLevel: ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true]
        case .metaspace(let metaspace): metaspace.json
        case .replace(let pattern, let content):
            ["type": "Replace", "pattern": pattern.json, "content": .string(content)]
        case .byteFallback: ["type": "ByteFallback"]
        case .fuse: ["type": "Fuse"]
        case .strip(let content, let start, let stop):
            ["type": "Strip", "content": .string(content), "start": .integer(start), "stop": .integer(stop)]
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
