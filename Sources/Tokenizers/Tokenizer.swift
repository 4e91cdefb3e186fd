import JSON

// `String._nfc` of the standard library's Unicode interface is the only normalization form C without Foundation. With a
// toolchain that drops it this file does not compile; Foundation's `precomposedStringWithCanonicalMapping` gives the
// same.
@_spi(_Unicode) import Swift

/// A byte-level BPE tokenizer: text to ids and back, the same ids as the Hugging Face library with the same file.
package struct Tokenizer: Sendable {
    /// Everything that a tokenizer.json says; what ``ModelWriter`` writes.
    package let definition: TokenizerDefinition
    private let rawTokens: AddedTokenMatcher
    private let normalizedTokens: AddedTokenMatcher
    private let preTokenization: PreTokenization
    private let encoder: BytePairEncoder
    private let ids: [[UInt8]: Int32]
    /// The token of every id; nil where the vocabulary has a gap.
    private let tokens: [String?]
    /// The bytes every id stands for, and whether it is special.
    private let decoded: [(bytes: [UInt8], isSpecial: Bool)]

    /// Tokens that end a sequence, from the model's configuration.
    package var endOfSequenceIDs: [Int32] = []
    /// The token that starts a sequence, from the model's configuration.
    package var beginOfSequenceID: Int32?

    /// Largest id there may be: a bound on what a hostile file makes us allocate. A small vocabulary may have gaps, but
    /// not be all gap.
    static func maximumID(entries: Int) -> Int32 { Int32(min(1 << 24, 1 << 18 + 16 * entries)) }

    /// Bytes that all added tokens may have together; each becomes a node of a tree.
    static let maximumAddedByteCount = 1 << 22

    /// Compiles a definition. `file` is named in errors.
    package init(_ definition: TokenizerDefinition, file: String) throws(TokenizerError) {
        func malformed(_ message: String) -> TokenizerError { TokenizerError(.malformed, "\(file): \(message)") }
        var ids: [[UInt8]: Int32] = [:]
        ids.reserveCapacity(definition.vocabulary.count + definition.addedTokens.count)
        var count: Int32 = 0
        let maximumID = Self.maximumID(entries: definition.vocabulary.count)
        for entry in definition.vocabulary {
            guard entry.id >= 0, entry.id < maximumID else { throw malformed("token id \(entry.id) is too large") }
            guard ids.updateValue(entry.id, forKey: Array(entry.token.utf8)) == nil else {
                throw malformed("token '\(entry.token)' stands in the vocabulary twice")
            }
            count = max(count, entry.id + 1)
        }
        encoder = try BytePairEncoder(definition, ids: ids, file: file)
        let normalizes = !definition.normalizers.isEmpty
        let normalized = definition.addedTokens.map { token in
            var token = token
            // The Hugging Face library keeps them so: decoding gives the normalised form, too.
            if token.isNormalized, normalizes { token.content = token.content.normalizedNFC }
            return token
        }
        let added = Self.numbered(normalized, ids: ids, vocabularyCount: definition.vocabulary.count)
        guard added.reduce(0, { $0 + $1.content.utf8.count }) <= Self.maximumAddedByteCount else {
            throw malformed("its added tokens are beyond any real ones")
        }
        for token in added {
            guard token.id < maximumID else { throw malformed("token id \(token.id) is too large") }
            ids[Array(token.content.utf8)] = token.id
            count = max(count, token.id + 1)
        }
        if let id = (definition.template.prefix + definition.template.suffix).first(where: { $0 < 0 || $0 >= count }) {
            throw malformed("its template adds token id \(id), which the vocabulary lacks")
        }
        var tokens = [String?](repeating: nil, count: Int(count))
        var decoded = [(bytes: [UInt8], isSpecial: Bool)](repeating: ([], false), count: Int(count))
        func place(_ token: String, _ id: Int32, isSpecial: Bool) {
            tokens[Int(id)] = token
            decoded[Int(id)] = (ByteAlphabet.bytes(of: token) ?? Array(token.utf8), isSpecial)
        }
        for entry in definition.vocabulary {
            if let other = tokens[Int(entry.id)] {
                throw malformed("tokens '\(other)' and '\(entry.token)' have the same id, \(entry.id)")
            }
            place(entry.token, entry.id, isSpecial: false)
        }
        for token in added { place(token.content, token.id, isSpecial: token.isSpecial) }
        self.definition = definition
        self.ids = ids
        self.tokens = tokens
        self.decoded = decoded
        rawTokens = AddedTokenMatcher(added.filter { !$0.isNormalized })
        normalizedTokens = AddedTokenMatcher(added.filter(\.isNormalized))
        do {
            preTokenization = try PreTokenization(definition.preTokenizers)
        } catch {
            throw TokenizerError(error.code, "\(file): \(error.message)")
        }
    }

    /// The ids that the Hugging Face library gives added tokens when it reads a file: a token of the vocabulary keeps
    /// its id there, the others follow the vocabulary in the order of the file. In files it wrote itself these are
    /// the ids in the file. Tokens that come twice and empty ones count once and not at all.
    private static func numbered(
        _ tokens: [TokenizerDefinition.AddedToken], ids: [[UInt8]: Int32], vocabularyCount: Int
    ) -> [TokenizerDefinition.AddedToken] {
        var result: [TokenizerDefinition.AddedToken] = []
        var seen: Set<[UInt8]> = []
        var largest: Int32 = -1
        for var token in tokens {
            let content = Array(token.content.utf8)
            guard !content.isEmpty, seen.insert(content).inserted else { continue }
            token.id = ids[content] ?? max(largest + 1, Int32(vocabularyCount))
            largest = max(largest, token.id)
            result.append(token)
        }
        return result
    }

    /// Reads the text of a tokenizer.json. `file` is named in errors.
    package init(json bytes: [UInt8], file: String) throws(TokenizerError) {
        let json: JSONValue
        do {
            json = try JSONValue.parse(bytes)
        } catch {
            throw TokenizerError(.malformed, "\(file): \(error)")
        }
        try self.init(TokenizerDefinition(json: json, file: file), file: file)
    }

    /// Number of ids: one more than the largest.
    package var vocabularySize: Int { tokens.count }

    /// The id of a token as it is written in the vocabulary (`Ġthe`, `<|im_end|>`).
    package func id(of token: String) -> Int32? { ids[Array(token.utf8)] }

    /// The token of an id as it is written in the vocabulary.
    package func token(_ id: Int32) -> String? {
        id >= 0 && Int(id) < tokens.count ? tokens[Int(id)] : nil
    }

    /// Whether `decode(skipSpecialTokens: true)` leaves the id out.
    package func isSpecial(_ id: Int32) -> Bool {
        id >= 0 && Int(id) < decoded.count && decoded[Int(id)].isSpecial
    }

    /// The ids of a text. Added and special tokens within the text are recognised.
    ///
    /// `addSpecialTokens` puts the ids of the file's template around it (Llama 3's begin-of-text). Throws
    /// ``TokenizerError`` when a pattern of the file gives up on the text.
    package func encode(_ text: String, addSpecialTokens: Bool = false) throws(TokenizerError) -> [Int32] {
        var result: [Int32] = addSpecialTokens ? definition.template.prefix : []
        let bytes = Array(text.utf8)
        for piece in rawTokens.split(bytes) {
            if let id = piece.id {
                result.append(id)
                continue
            }
            let segment = normalize(piece.range.count == bytes.count ? bytes : Array(bytes[piece.range]))
            for piece in normalizedTokens.split(segment) {
                if let id = piece.id {
                    result.append(id)
                } else {
                    let words = piece.range.count == segment.count ? segment : Array(segment[piece.range])
                    try preTokenization.forEachWord(in: words) { encoder.encode($0, into: &result) }
                }
            }
        }
        if addSpecialTokens { result += definition.template.suffix }
        return result
    }

    private func normalize(_ bytes: [UInt8]) -> [UInt8] {
        guard !definition.normalizers.isEmpty, bytes.contains(where: { $0 >= 0x80 }) else { return bytes }
        return Array(String(decoding: bytes, as: UTF8.self).normalizedNFC.utf8)
    }

    /// The bytes an id stands for; empty for unknown ids.
    func bytes(of id: Int32) -> [UInt8] { id >= 0 && Int(id) < decoded.count ? decoded[Int(id)].bytes : [] }

    /// The text of ids; bytes that are no UTF-8 become U+FFFD, ids outside the vocabulary nothing.
    package func decode(_ ids: some Sequence<Int32>, skipSpecialTokens: Bool = false) -> String {
        var bytes: [UInt8] = []
        for id in ids where !(skipSpecialTokens && isSpecial(id)) { bytes += self.bytes(of: id) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension String {
    /// Unicode normalization form C.
    package var normalizedNFC: String {
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: _nfc)
        return String(scalars)
    }
}
