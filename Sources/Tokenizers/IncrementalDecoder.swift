/// Decodes ids one by one as they are sampled; characters whose bytes span tokens come out whole.
///
/// The pieces joined are `decode` of all ids.
package struct IncrementalDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    private var pending: [UInt8] = []

    package init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = false) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
    }

    /// The text that this id completes; empty while a character is incomplete.
    package mutating func append(_ id: Int32) -> String {
        if skipSpecialTokens, tokenizer.isSpecial(id) { return "" }
        pending += tokenizer.bytes(of: id)
        let held = Self.incompleteSuffix(pending)
        let text = String(decoding: pending.dropLast(held), as: UTF8.self)
        pending.removeFirst(pending.count - held)
        return text
    }

    /// What is left: U+FFFD when the last character never got complete.
    package mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Length of the start of a character that ends `bytes` and could still become one.
    private static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            if lead & 0xC0 == 0x80 { continue }
            let needed: Int
            switch lead {
            case 0xC2...0xDF: needed = 2
            case 0xE0...0xEF: needed = 3
            case 0xF0...0xF4: needed = 4
            default: return 0
            }
            guard length < needed else { return 0 }
            if length > 1 {
                // The second byte has a narrower range after some leads (no overlong forms, surrogates, > U+10FFFF).
                let second = bytes[bytes.count - length + 1]
                switch lead {
                case 0xE0 where second < 0xA0, 0xED where second > 0x9F, 0xF0 where second < 0x90,
                    0xF4 where second > 0x8F:
                    return 0
                default: break
                }
            }
            return length
        }
        return 0
    }
}
