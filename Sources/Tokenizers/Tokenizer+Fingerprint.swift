import Hashing
import JSON

extension Tokenizer {
    /// What the ids mean and how text becomes ids, as docs/protocol.md defines it for other programs: equal for tokenizers
    /// that give equal ids (without the template of special tokens around them). The SHA-256 of lines of text, in 64
    /// hexadecimal digits. Computed on every call.
    package var fingerprint: String {
        var hash = SHA256()
        var lines: [UInt8] = []
        func add(_ parts: String...) {
            lines += parts.joined(separator: " ").utf8
            lines.append(UInt8(ascii: "\n"))
            guard lines.count > 1 << 16 else { return }
            hash.update(lines)
            lines.removeAll(keepingCapacity: true)
        }
        func text(_ text: String) -> String { JSONValue.string(text).text(pretty: false) }
        func flag(_ value: Bool) -> String { value ? "1" : "0" }

        add("opd tokenizer 1")
        var tokens: [Int32: String] = [:]
        for entry in definition.vocabulary { tokens[entry.id] = entry.token }
        for token in definition.addedTokens { tokens[token.id] = token.content }
        for (id, token) in tokens.sorted(by: { $0.key < $1.key }) { add("token", "\(id)", text(token)) }
        for merge in definition.merges { add("merge", text(merge.left), text(merge.right)) }
        for token in definition.addedTokens.sorted(by: { $0.id < $1.id }) {
            add(
                "added", "\(token.id)", flag(token.singleWord), flag(token.stripsLeft), flag(token.stripsRight),
                flag(token.isNormalized))
        }
        for normalizer in definition.normalizers { add("normalizer", normalizer.rawValue) }
        for part in definition.preTokenizers {
            switch part {
            case .split(.regex(let pattern), let behavior, let invert):
                add("split", "regex", text(pattern), behavior.rawValue, flag(invert))
            case .split(.string(let pattern), let behavior, let invert):
                add("split", "string", text(pattern), behavior.rawValue, flag(invert))
            case .digits(let individual): add("digits", flag(individual))
            case .byteLevel(let addPrefixSpace, let useRegex):
                add("bytes", flag(addPrefixSpace), flag(useRegex))
            }
        }
        add("model", flag(definition.ignoresMerges), flag(definition.fusesUnknown), text(definition.unknownToken ?? ""))
        hash.update(lines)
        return hash.hexDigest
    }
}
