/// The steps that cut a text into the words BPE works on, compiled.
struct PreTokenization: Sendable {
    /// A piece of the text.
    struct Piece {
        var range: Range<Int>
        /// How many of its first bytes stand for what the user's text begins with.
        var leading: Int
    }

    private enum Step: Sendable {
        case split(RegexPattern, TokenizerDefinition.SplitBehavior, invert: Bool)
        case scalars(ScalarClass, TokenizerDefinition.SplitBehavior)
        case words
        case metaspace(TokenizerDefinition.Metaspace)
        case prefixSpace
        case byteLetters
    }

    enum ScalarClass: Sendable {
        case punctuation, space

        func contains(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .punctuation: scalar.isPunctuation
            case .space: scalar.properties.isWhitespace
            }
        }
    }

    private let steps: [Step]
    /// Whether words are the bytes of the text, to be looked up as letters of the byte alphabet: the last step of a
    /// byte-level tokenizer, left to the encoder.
    let leavesBytes: Bool

    /// `allowsBytes`: the encoder takes the bytes of a word for letters of the byte alphabet.
    init(_ definition: [TokenizerDefinition.PreTokenizer], allowsBytes: Bool) throws(TokenizerError) {
        var steps: [Step] = []
        var leavesBytes = false
        for (index, part) in definition.enumerated() {
            switch part {
            case .split(.regex(let text), let behavior, let invert):
                steps.append(.split(try RegexPattern(text), behavior, invert: invert))
            case .split(.string(let text), let behavior, let invert):
                // An empty text matches between all characters, which a literal pattern would not.
                steps.append(.split(try RegexPattern(text, isLiteral: !text.isEmpty), behavior, invert: invert))
            case .digits(let individual):
                steps.append(.split(try RegexPattern(#"\p{N}"#), individual ? .isolated : .contiguous, invert: false))
            case .punctuation(let behavior): steps.append(.scalars(.punctuation, behavior))
            case .whitespace: steps.append(.words)
            case .whitespaceSplit: steps.append(.scalars(.space, .removed))
            case .metaspace(let metaspace): steps.append(.metaspace(metaspace))
            case .byteLevel(let addPrefixSpace, let useRegex):
                if addPrefixSpace { steps.append(.prefixSpace) }
                if useRegex {
                    steps.append(
                        .split(try RegexPattern(TokenizerDefinition.gpt2Pattern), .isolated, invert: false))
                }
                if allowsBytes, index == definition.count - 1 {
                    leavesBytes = true
                } else {
                    steps.append(.byteLetters)
                }
            }
        }
        self.steps = steps
        self.leavesBytes = leavesBytes
    }

    /// Calls `body` with the bytes of every word of `text`, valid UTF-8, in order.
    func forEachWord(
        in text: NormalizedText, _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) throws(TokenizerError) {
        guard !text.bytes.isEmpty else { return }
        var pieces = [Piece(range: 0..<text.bytes.count, leading: text.leading)]
        var text = text.bytes
        for step in steps {
            switch step {
            case .prefixSpace: Self.rewrite(&text, &pieces, Self.addPrefixSpace)
            case .byteLetters: Self.rewrite(&text, &pieces, Self.writeByteLetters)
            case .metaspace(let metaspace):
                let replacement = Array(metaspace.replacement.utf8)
                Self.rewrite(&text, &pieces) { piece, leading, result in
                    Self.writeMetaspace(piece, leading, metaspace.prependScheme, replacement, into: &result)
                }
                if metaspace.splits {
                    Self.cut(&pieces) { range in
                        PieceParts.occurrences(of: replacement, in: text, range).merged(.mergedWithNext)
                    }
                }
            case .scalars(let scalars, let behavior):
                Self.cut(&pieces) { range in
                    PieceParts.scalars(in: text, range, scalars.contains).merged(behavior)
                }
            case .words: Self.cut(&pieces) { range in PieceParts.words(in: text, range) }
            case .split(let pattern, let behavior, let invert):
                let result = text.withUnsafeBufferPointer { buffer in
                    Result { () throws(TokenizerError) in
                        try Self.cut(&pieces) { (range) throws(TokenizerError) in
                            try PieceParts.matches(of: pattern, in: buffer, range, invert: invert).merged(behavior)
                        }
                    }
                }
                try result.get()
            }
        }
        text.withUnsafeBufferPointer { buffer in
            for piece in pieces { body(UnsafeBufferPointer(rebasing: buffer[piece.range])) }
        }
    }

    /// Replaces every piece by those that `parts` cuts it into; empty ones go.
    private static func cut(
        _ pieces: inout [Piece], _ parts: (Range<Int>) throws(TokenizerError) -> [Range<Int>]
    ) throws(TokenizerError) {
        var result: [Piece] = []
        result.reserveCapacity(pieces.count * 2)
        for piece in pieces {
            for range in try parts(piece.range) where !range.isEmpty {
                let leading = piece.leading - (range.lowerBound - piece.range.lowerBound)
                result.append(Piece(range: range, leading: min(max(0, leading), range.count)))
            }
        }
        pieces = result
    }

    private static func cut(_ pieces: inout [Piece], _ parts: (Range<Int>) -> [Range<Int>]) {
        var result: [Piece] = []
        result.reserveCapacity(pieces.count * 2)
        for piece in pieces {
            for range in parts(piece.range) where !range.isEmpty {
                let leading = piece.leading - (range.lowerBound - piece.range.lowerBound)
                result.append(Piece(range: range, leading: min(max(0, leading), range.count)))
            }
        }
        pieces = result
    }

    /// Replaces the text by what `write` appends for every piece; it returns the leading bytes of that.
    private static func rewrite(
        _ text: inout [UInt8], _ pieces: inout [Piece],
        _ write: (_ piece: ArraySlice<UInt8>, _ leading: Int, _ result: inout [UInt8]) -> Int
    ) {
        var result: [UInt8] = []
        result.reserveCapacity(text.count + pieces.count)
        for index in pieces.indices {
            let start = result.count
            let leading = write(text[pieces[index].range], pieces[index].leading, &result)
            pieces[index] = Piece(range: start..<result.count, leading: leading)
        }
        text = result
    }

    private static func addPrefixSpace(_ piece: ArraySlice<UInt8>, _ leading: Int, into result: inout [UInt8]) -> Int {
        let isMissing = piece.first != UInt8(ascii: " ")
        if isMissing { result.append(UInt8(ascii: " ")) }
        result.append(contentsOf: piece)
        return isMissing && leading > 0 ? leading + 1 : leading
    }

    private static func writeByteLetters(
        _ piece: ArraySlice<UInt8>, _ leading: Int, into result: inout [UInt8]
    ) -> Int {
        let start = result.count
        var newLeading = 0
        for (offset, byte) in piece.enumerated() {
            result.append(contentsOf: String(ByteAlphabet.letters[Int(byte)]).utf8)
            if offset < leading { newLeading = result.count - start }
        }
        return newLeading
    }

    private static func writeMetaspace(
        _ piece: ArraySlice<UInt8>, _ leading: Int, _ scheme: TokenizerDefinition.Metaspace.PrependScheme,
        _ replacement: [UInt8], into result: inout [UInt8]
    ) -> Int {
        let start = result.count
        let begins = piece.first == UInt8(ascii: " ") || piece.starts(with: replacement)
        let prepends =
            switch scheme {
            case .always: !begins
            case .first: !begins && leading > 0
            case .never: false
            }
        if prepends { result.append(contentsOf: replacement) }
        var newLeading = leading > 0 ? result.count - start : 0
        for (offset, byte) in piece.enumerated() {
            if byte == UInt8(ascii: " ") {
                result.append(contentsOf: replacement)
            } else {
                result.append(byte)
            }
            if offset < leading { newLeading = result.count - start }
        }
        return newLeading
    }
}
