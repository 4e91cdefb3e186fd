/// Decodes ids one by one as they are sampled; characters whose bytes span tokens come out whole.
///
/// The pieces joined are `decode` of all ids. What later tokens may change is held back until they come: with
/// `byte_fallback` tokens of bytes in a row, which are no text at all unless all of them together are.
package struct IncrementalDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    private var state: DecoderState

    package init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = false) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
        state = tokenizer.decoderState
    }

    /// The text that this id completes; empty while a character is incomplete.
    package mutating func append(_ id: Int32) -> String {
        guard let token = tokenizer.preparedToken(id), !(skipSpecialTokens && tokenizer.isSpecial(id)) else {
            return ""
        }
        var bytes: [UInt8] = []
        state.push(token, into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What is left: U+FFFD when the last character never got complete.
    package mutating func finish() -> String {
        var bytes: [UInt8] = []
        state.finish(into: &bytes)
        state = tokenizer.decoderState
        return String(decoding: bytes, as: UTF8.self)
    }
}
