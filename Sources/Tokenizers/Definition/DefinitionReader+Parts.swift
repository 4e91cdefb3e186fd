import JSON

// The steps of a tokenizer.json: normalizers, pre-tokenizers and decoders, with the defaults of the Hugging Face library.

extension TokenizerDefinition.DefinitionReader {
    typealias Definition = TokenizerDefinition

    /// Bytes that a step may put into a text at one place; real ones put in a character.
    private static var maximumContentByteCount: Int { 4096 }

    func normalizers(_ value: JSONValue) throws(TokenizerError) -> [Definition.Normalizer] {
        var result: [Definition.Normalizer] = []
        for part in try parts(value, "normalizer", "normalizers") {
            switch try type(part, "normalizer") {
            case "NFC": result.append(.nfc)
            case "NFD": result.append(.nfd)
            case "NFKC": result.append(.nfkc)
            case "NFKD": result.append(.nfkd)
            case "Lowercase": result.append(.lowercase)
            case "Strip":
                result.append(
                    .strip(left: part["strip_left"]?.bool ?? true, right: part["strip_right"]?.bool ?? true))
            case "Prepend": result.append(.prepend(try content(part, "prepend", "normalizer Prepend")))
            case "Replace":
                result.append(
                    .replace(
                        try pattern(part, "normalizer Replace"),
                        with: try content(part, "content", "normalizer Replace")))
            case let type: throw unsupported("normalizer '\(type)'")
            }
        }
        return result
    }

    func preTokenizers(_ value: JSONValue) throws(TokenizerError) -> [Definition.PreTokenizer] {
        var result: [Definition.PreTokenizer] = []
        for part in try parts(value, "pre_tokenizer", "pretokenizers") {
            switch try type(part, "pre_tokenizer") {
            case "ByteLevel":
                result.append(
                    .byteLevel(
                        addPrefixSpace: part["add_prefix_space"]?.bool ?? true,
                        useRegex: part["use_regex"]?.bool ?? true))
            case "Digits": result.append(.digits(individual: part["individual_digits"]?.bool ?? false))
            case "Punctuation":
                let behavior = part["behavior"] ?? .null
                result.append(
                    .punctuation(behavior.isNull ? .isolated : try splitBehavior(behavior, "pre_tokenizer Punctuation"))
                )
            case "Whitespace": result.append(.whitespace)
            case "WhitespaceSplit": result.append(.whitespaceSplit)
            case "Metaspace": result.append(.metaspace(try metaspace(part, "pre_tokenizer Metaspace")))
            case "Split":
                result.append(
                    .split(
                        try pattern(part, "pre_tokenizer Split"),
                        try splitBehavior(part["behavior"] ?? .null, "pre_tokenizer Split"),
                        invert: part["invert"]?.bool ?? false))
            case let type: throw unsupported("pre-tokenizer '\(type)'")
            }
        }
        // Each of these makes a text longer: many of them would make it longer without bound.
        var byteLevels = 0
        var metaspaces = 0
        for part in result {
            switch part {
            case .byteLevel: byteLevels += 1
            case .metaspace: metaspaces += 1
            default: break
            }
        }
        guard byteLevels <= 1, metaspaces <= 1 else {
            throw unsupported("pre_tokenizer: more than one \(byteLevels > 1 ? "ByteLevel" : "Metaspace")")
        }
        return result
    }

    func decoders(_ value: JSONValue) throws(TokenizerError) -> [Definition.Decoder] {
        guard !value.isNull else {
            throw unsupported("a tokenizer without a decoder, whose tokens would be joined with spaces,")
        }
        var result: [Definition.Decoder] = []
        for part in try parts(value, "decoder", "decoders") {
            switch try type(part, "decoder") {
            case "ByteLevel": result.append(.byteLevel)
            case "ByteFallback": result.append(.byteFallback)
            case "Fuse": result.append(.fuse)
            case "Metaspace": result.append(.metaspace(try metaspace(part, "decoder Metaspace")))
            case "Replace":
                result.append(
                    .replace(
                        try pattern(part, "decoder Replace"), with: try content(part, "content", "decoder Replace")))
            case "Strip":
                guard let start = part["start"]?.int, let stop = part["stop"]?.int, start >= 0, stop >= 0 else {
                    throw malformed("decoder Strip has no start and stop")
                }
                result.append(
                    .strip(content: try character(part, "content", "decoder Strip"), start: start, stop: stop))
            case let type: throw unsupported("decoder '\(type)'")
            }
        }
        return result
    }

    private func content(_ part: JSONValue, _ key: String, _ what: String) throws(TokenizerError) -> String {
        guard let text = part[key]?.string else { throw malformed("\(what) has no \(key)") }
        guard text.utf8.count <= Self.maximumContentByteCount else {
            throw malformed("\(what) has a \(key) of \(text.utf8.count) bytes, beyond any real one")
        }
        return text
    }

    private func character(_ part: JSONValue, _ key: String, _ what: String) throws(TokenizerError) -> String {
        let text = try content(part, key, what)
        guard text.unicodeScalars.count == 1 else { throw malformed("\(what) has a \(key) that is not one character") }
        return text
    }

    private func pattern(_ part: JSONValue, _ what: String) throws(TokenizerError) -> Definition.Pattern {
        if let text = part["pattern"]?["Regex"]?.string { return .regex(text) }
        if let text = part["pattern"]?["String"]?.string { return .string(text) }
        throw malformed("\(what) has no pattern")
    }

    private func splitBehavior(
        _ value: JSONValue, _ what: String
    ) throws(TokenizerError) -> Definition.SplitBehavior {
        guard let name = value.string, let behavior = Definition.SplitBehavior(rawValue: name) else {
            throw malformed("\(what) has no known behavior")
        }
        return behavior
    }

    /// Older files say `add_prefix_space` where newer ones have `prepend_scheme`.
    private func metaspace(_ part: JSONValue, _ what: String) throws(TokenizerError) -> Definition.Metaspace {
        var metaspace = Definition.Metaspace(replacement: try character(part, "replacement", what))
        let scheme = part["prepend_scheme"] ?? .null
        if !scheme.isNull {
            guard let name = scheme.string, let known = Definition.Metaspace.PrependScheme(rawValue: name) else {
                throw malformed("\(what) has no known prepend_scheme")
            }
            metaspace.prependScheme = known
        }
        if part["add_prefix_space"]?.bool == false {
            guard scheme.isNull || metaspace.prependScheme == .never else {
                throw malformed("\(what) has add_prefix_space false and prepend_scheme \(metaspace.prependScheme)")
            }
            metaspace.prependScheme = .never
        }
        metaspace.splits = part["split"]?.bool ?? true
        return metaspace
    }
}
