import Hashing
import JSON

extension Tokenizer {
    /// What the ids mean and how text becomes ids, as docs/protocol.md defines it for other programs: equal for tokenizers
    /// that give equal ids (without the template of special tokens around them). The SHA-256 of lines of text, in 64
    /// hexadecimal digits. Computed on every call.
    package var fingerprint: String {
        var hash = SHA256()
        var lines: [UInt8] = []
        forEachIdentityLine { line in
            lines += line.utf8
            lines.append(UInt8(ascii: "\n"))
            guard lines.count > 1 << 16 else { return }
            hash.update(lines)
            lines.removeAll(keepingCapacity: true)
        }
        hash.update(lines)
        return hash.hexDigest
    }

    /// The text of every id that has one, as the definition says; an added token's where both have the id.
    var identityTokens: [Int32: String] {
        var tokens: [Int32: String] = [:]
        for entry in definition.vocabulary { tokens[entry.id] = entry.token }
        for token in definition.addedTokens { tokens[token.id] = token.content }
        return tokens
    }

    /// Calls `body` with every line of the identity, in order.
    /// - Parameter hasTokens: whether those of tokens are among them.
    func forEachIdentityLine(hasTokens: Bool = true, _ body: (String) -> Void) {
        func add(_ parts: String...) { body(parts.joined(separator: " ")) }
        func text(_ text: String) -> String { JSONValue.string(text).text(pretty: false) }
        func flag(_ value: Bool) -> String { value ? "1" : "0" }

        add("opd tokenizer 1")
        if hasTokens {
            for (id, token) in identityTokens.sorted(by: { $0.key < $1.key }) { add("token", "\(id)", text(token)) }
        }
        for merge in definition.merges { add("merge", text(merge.left), text(merge.right)) }
        for token in definition.addedTokens.sorted(by: { $0.id < $1.id }) {
            add(
                "added", "\(token.id)", flag(token.singleWord), flag(token.stripsLeft), flag(token.stripsRight),
                flag(token.isNormalized))
        }
        func pattern(_ pattern: TokenizerDefinition.Pattern) -> String {
            switch pattern {
            case .regex(let source): "regex \(text(source))"
            case .string(let source): "string \(text(source))"
            }
        }
        func metaspace(_ part: TokenizerDefinition.Metaspace) -> String {
            "\(text(part.replacement)) \(part.prependScheme.rawValue) \(flag(part.splits))"
        }
        for normalizer in definition.normalizers {
            switch normalizer {
            case .nfc: add("normalizer", "NFC")
            case .nfd: add("normalizer", "NFD")
            case .nfkc: add("normalizer", "NFKC")
            case .nfkd: add("normalizer", "NFKD")
            case .lowercase: add("normalizer", "Lowercase")
            case .strip(let left, let right): add("normalizer", "Strip", flag(left), flag(right))
            case .prepend(let content): add("normalizer", "Prepend", text(content))
            case .replace(let source, let content): add("normalizer", "Replace", pattern(source), text(content))
            }
        }
        for part in definition.preTokenizers {
            switch part {
            case .split(let source, let behavior, let invert):
                add("split", pattern(source), behavior.rawValue, flag(invert))
            case .digits(let individual): add("digits", flag(individual))
            case .punctuation(let behavior): add("punctuation", behavior.rawValue)
            case .whitespace: add("whitespace")
            case .whitespaceSplit: add("whitespace_split")
            case .metaspace(let part): add("metaspace", metaspace(part))
            case .byteLevel(let addPrefixSpace, let useRegex):
                add("bytes", flag(addPrefixSpace), flag(useRegex))
            }
        }
        add("model", flag(definition.ignoresMerges), flag(definition.fusesUnknown), text(definition.unknownToken ?? ""))
        if definition.fallsBackToBytes { add("byte_fallback") }
        // A byte-level tokenizer has one decoder, which goes without saying.
        if definition.decoders != [.byteLevel] {
            for decoder in definition.decoders {
                switch decoder {
                case .byteLevel: add("decoder", "ByteLevel")
                case .byteFallback: add("decoder", "ByteFallback")
                case .fuse: add("decoder", "Fuse")
                case .metaspace(let part): add("decoder", "Metaspace", metaspace(part))
                case .replace(let source, let content): add("decoder", "Replace", pattern(source), text(content))
                case .strip(let content, let start, let stop):
                    add("decoder", "Strip", text(content), "\(start)", "\(stop)")
                }
            }
            if definition.decoders.isEmpty { add("decoder") }
        }
    }
}
