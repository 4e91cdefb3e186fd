import JSON

/// A BPE tokenizer: text to ids and back, the same ids as the Hugging Face library with the same file.
package struct Tokenizer: Sendable {
    /// Everything that a tokenizer.json says; what ``ModelWriter`` writes.
    package let definition: TokenizerDefinition
    private let rawTokens: AddedTokenMatcher
    private let normalizedTokens: AddedTokenMatcher
    private let normalization: Normalization
    private let preTokenization: PreTokenization
    private let encoder: BytePairEncoder
    private let ids: [[UInt8]: Int32]
    /// The token of every id; nil where the vocabulary has a gap.
    private let tokens: [String?]
    /// The bytes of every id after the decoder's first steps, and whether it is special; nil where there is a gap.
    private let decoded: [(bytes: [UInt8], isSpecial: Bool)?]
    private let decoder: DecoderSteps

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
        func named<T>(_ make: () throws(TokenizerError) -> T) throws(TokenizerError) -> T {
            do { return try make() } catch { throw TokenizerError(error.code, "\(file): \(error.message)") }
        }
        let preTokenization = try named { () throws(TokenizerError) in
            try PreTokenization(definition.preTokenizers, allowsBytes: !definition.fallsBackToBytes)
        }
        let normalization = try named { () throws(TokenizerError) in try Normalization(definition.normalizers) }
        encoder = try BytePairEncoder(definition, ids: ids, takesBytes: preTokenization.leavesBytes, file: file)
        let added = Self.numbered(definition.addedTokens, ids: ids, vocabularyCount: definition.vocabulary.count)
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
        for entry in definition.vocabulary {
            if let other = tokens[Int(entry.id)] {
                throw malformed("tokens '\(other)' and '\(entry.token)' have the same id, \(entry.id)")
            }
            tokens[Int(entry.id)] = entry.token
        }
        for token in added { tokens[Int(token.id)] = token.content }
        // Added tokens are looked for in the normalised text in their own normalised form; decoding gives that, too.
        var shown = tokens
        var searched = added
        if !normalization.isEmpty {
            for index in searched.indices where searched[index].isNormalized {
                var text = NormalizedText(Array(searched[index].content.utf8), isStart: true)
                try named { () throws(TokenizerError) in try normalization.apply(&text) }
                // The Hugging Face library finds such a token between all characters.
                guard !text.bytes.isEmpty else {
                    throw TokenizerError(
                        .unsupported,
                        "\(file): the normalizer leaves nothing of the added token with id \(searched[index].id), which is not "
                            + "supported; set its 'normalized' to false")
                }
                searched[index].content = String(decoding: text.bytes, as: UTF8.self)
                shown[Int(searched[index].id)] = searched[index].content
            }
        }
        let decoder = try DecoderSteps(definition.decoders, file: file)
        let special = Set(definition.addedTokens.filter(\.isSpecial).map { Array($0.content.utf8) })
        var decoded: [(bytes: [UInt8], isSpecial: Bool)?] = []
        decoded.reserveCapacity(shown.count)
        for token in shown {
            let bytes = token.map { Array($0.utf8) }
            guard let bytes else {
                decoded.append(nil)
                continue
            }
            let prepared = try named { () throws(TokenizerError) in try decoder.prepared(bytes) }
            decoded.append((prepared, special.contains(bytes)))
        }
        self.definition = definition
        self.ids = ids
        self.tokens = tokens
        self.decoded = decoded
        self.decoder = decoder
        self.normalization = normalization
        self.preTokenization = preTokenization
        rawTokens = AddedTokenMatcher(searched.filter { !$0.isNormalized })
        normalizedTokens = AddedTokenMatcher(searched.filter(\.isNormalized))
    }

    /// The ids that the Hugging Face library gives added tokens when it reads a file: a token of the vocabulary keeps
    /// its id there, the others follow the vocabulary in the order of the file. In files it wrote itself these are
    /// the ids in the file. Of tokens that come twice the last counts, empty ones do not.
    private static func numbered(
        _ tokens: [TokenizerDefinition.AddedToken], ids: [[UInt8]: Int32], vocabularyCount: Int
    ) -> [TokenizerDefinition.AddedToken] {
        var result: [TokenizerDefinition.AddedToken] = []
        var places: [[UInt8]: Int] = [:]
        var next = Int32(vocabularyCount)
        for var token in tokens {
            let content = Array(token.content.utf8)
            guard !content.isEmpty else { continue }
            if let place = places[content] {
                token.id = result[place].id
                result[place] = token
                continue
            }
            if let id = ids[content] {
                token.id = id
            } else {
                token.id = next
                next += 1
            }
            places[content] = result.count
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
        id >= 0 && Int(id) < decoded.count && decoded[Int(id)]?.isSpecial == true
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
            var text = NormalizedText(
                piece.range.count == bytes.count ? bytes : Array(bytes[piece.range]),
                isStart: piece.range.lowerBound == 0)
            if !normalization.isEmpty { try normalization.apply(&text) }
            for piece in normalizedTokens.split(text.bytes) {
                if let id = piece.id {
                    result.append(id)
                } else {
                    var part = text
                    if piece.range.count < text.bytes.count {
                        part.bytes = Array(text.bytes[piece.range])
                        part.leading = min(max(0, text.leading - piece.range.lowerBound), part.bytes.count)
                    }
                    try preTokenization.forEachWord(in: part) { encoder.encode($0, into: &result) }
                }
            }
        }
        if addSpecialTokens { result += definition.template.suffix }
        return result
    }

    /// The bytes of an id after the decoder's first steps; nil for unknown ids, which decode to nothing.
    func preparedToken(_ id: Int32) -> [UInt8]? { id >= 0 && Int(id) < decoded.count ? decoded[Int(id)]?.bytes : nil }

    /// Whether `preparedToken` gives the bytes of a text, one token after the other.
    var decodesBytes: Bool { decoder.isBytes }

    /// A decoder that has seen no token yet.
    var decoderState: DecoderState { DecoderState(decoder.remaining) }

    /// The text of ids; bytes that are no UTF-8 become U+FFFD, ids outside the vocabulary nothing.
    package func decode(_ ids: some Sequence<Int32>, skipSpecialTokens: Bool = false) -> String {
        var bytes: [UInt8] = []
        if decoder.isBytes {
            for id in ids where !(skipSpecialTokens && isSpecial(id)) { bytes += preparedToken(id) ?? [] }
            return String(decoding: bytes, as: UTF8.self)
        }
        var state = decoderState
        for id in ids where !(skipSpecialTokens && isSpecial(id)) {
            if let token = preparedToken(id) { state.push(token, into: &bytes) }
        }
        state.finish(into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
