extension Tokenizer {
    /// A hash over everything that maps text to ids (without the template of special tokens around it): equal for
    /// tokenizers that give equal ids. 32 hexadecimal digits, FNV-1a of 128 bits. Computed on every call.
    package var fingerprint: String {
        var hash = FNV128()
        func add(_ text: String) { hash.add(text) }
        for id in 0..<Int32(vocabularySize) { add(token(id) ?? "") }
        add("merges")
        for merge in definition.merges {
            add(merge.left)
            add(merge.right)
        }
        add("added")
        for token in definition.addedTokens.sorted(by: { $0.id < $1.id }) {
            add("\(token.content) \(token.singleWord) \(token.stripsLeft) \(token.stripsRight) \(token.isNormalized)")
        }
        add("normalizers \(definition.normalizers.map(\.rawValue))")
        for part in definition.preTokenizers { add("\(part)") }
        add("\(definition.ignoresMerges) \(definition.unknownToken ?? "") \(definition.fusesUnknown)")
        let digits = String(hash.value, radix: 16)
        return String(repeating: "0", count: 32 - digits.utf8.count) + digits
    }
}

/// Fowler-Noll-Vo 1a, 128 bits (RFC 9923).
private struct FNV128 {
    var value: UInt128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D

    mutating func add(_ text: String) {
        for byte in text.utf8 { add(byte) }
        // Never a byte of UTF-8: keeps neighbours apart.
        add(0xFF)
    }

    private mutating func add(_ byte: UInt8) {
        value ^= UInt128(byte)
        value &*= 0x0000_0000_0100_0000_0000_0000_0000_013B
    }
}
