import JSON
import Tokenizers

extension FuzzTarget {
    static let tokenizer = FuzzTarget(name: "tokenizer") { bytes in
        guard let tokenizer = try? Tokenizer(json: bytes, file: "tokenizer.json") else { return }
        try tokenizer.exercise()
        // What is written beside a trained model is read back as it was.
        let written = Array(tokenizer.definition.json.text().utf8)
        guard let again = try? Tokenizer(json: written, file: "written"), again.fingerprint == tokenizer.fingerprint
        else { throw BrokenPromise("a written tokenizer is read back") }
    }

    /// Any text, with a tokenizer like those of real models.
    static let text = FuzzTarget(name: "text") { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        guard let ids = try? builtIn.encode(text, addSpecialTokens: true) else {
            throw BrokenPromise("a common pattern gives up on a text of \(bytes.count) bytes")
        }
        guard Array(builtIn.decode(ids).utf8) == Array(text.normalizedNFC.utf8) else {
            throw BrokenPromise("decoding gives the normalised text")
        }
        var decoder = IncrementalDecoder(builtIn)
        var pieces = ids.map { decoder.append($0) }.joined()
        pieces += decoder.finish()
        guard pieces == builtIn.decode(ids) else { throw BrokenPromise("pieces joined are the whole") }
    }

    /// Any tokens of a model, as a teacher with another tokenizer reads them: the ids of one byte or two each.
    static let retokenize = FuzzTarget(name: "retokenize") { bytes in
        let student = builtIn, ids = bytes.map { Int32($0) * 5 % Int32(student.vocabularySize + 2) }
        let same = sides.same.retokenize(ids, isCutOff: bytes.first.map { $0 & 1 == 1 } ?? false)
        let known = ids.filter { student.token($0) != nil }
        guard same.ids == known else { throw BrokenPromise("with equal tokenizers a response is what it was") }
        let other = sides.other.retokenize(ids, isCutOff: false)
        var here = 0, there = 0
        for span in other.spans {
            let (a, b) = (ids[here..<here + span.count], other.ids[there..<there + span.otherCount])
            (here, there) = (a.endIndex, b.endIndex)
            guard span.isComparable, !student.isSpecial(a[a.startIndex]) else { continue }
            guard a.flatMap({ student.bytes(of: $0) ?? [] }) == b.flatMap({ teacher.bytes(of: $0) ?? [] }) else {
                throw BrokenPromise("a span has the same bytes on both sides")
            }
        }
        guard here == ids.count, there == other.ids.count else { throw BrokenPromise("spans hold all tokens") }
    }

    static let json = FuzzTarget(name: "json") { bytes in
        guard let value = try? JSONValue.parse(bytes) else { return }
        for pretty in [true, false] {
            guard let again = try? JSONValue.parse(value.text(pretty: pretty)), again == value else {
                throw BrokenPromise("written JSON is read back")
            }
        }
    }

    /// The bytes alone with merges of its own, read in GPT-2's way.
    private static let teacher: Tokenizer = {
        var tokens = ByteAlphabet.letters.map { String($0) }
        let merges = [("a", "b"), ("ab", "a"), ("t", "h"), ("â", "Ĥ"), ("âĤ", "¬")]
        tokens += merges.map { $0.0 + $0.1 }
        let definition = TokenizerDefinition(
            vocabulary: tokens.reversed().enumerated().map { .init(token: $0.element, id: Int32($0.offset)) },
            merges: merges.map { .init(left: $0.0, right: $0.1) },
            addedTokens: [.init(id: Int32(tokens.count), content: "<|im_end|>")],
            preTokenizers: [.byteLevel(addPrefixSpace: false, useRegex: true)])
        do { return try Tokenizer(definition, file: "teacher") } catch { fatalError("\(error)") }
    }()

    private static let sides: (same: Retokenizer, other: Retokenizer) = {
        func side(_ tokenizer: Tokenizer) -> Retokenizer.Side { .init(tokenizer, endOfAnswer: "<|im_end|>") }
        let student = side(builtIn)
        do {
            return (
                try Retokenizer(from: student, named: "student", to: student, named: "student"),
                try Retokenizer(from: student, named: "student", to: side(teacher), named: "teacher")
            )
        } catch { fatalError("\(error)") }
    }()

    /// Qwen's pattern and normaliser over the bytes alone, with a few merges and added tokens.
    private static let builtIn: Tokenizer = {
        let pattern =
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        var tokens = ByteAlphabet.letters.map { String($0) }
        let merges = [("a", "b"), ("ab", "ab"), ("Ġ", "t"), ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("Ã", "©"), ("e", "Ì")]
        tokens += merges.map { $0.0 + $0.1 }
        var definition = TokenizerDefinition(
            vocabulary: tokens.enumerated().map { .init(token: $0.element, id: Int32($0.offset)) },
            merges: merges.map { .init(left: $0.0, right: $0.1) },
            addedTokens: ["<|im_start|>", "<|im_end|>", "<tool>"].enumerated().map {
                .init(id: Int32(tokens.count + $0.offset), content: $0.element)
            },
            preTokenizers: [
                .split(.regex(pattern), .isolated, invert: false), .byteLevel(addPrefixSpace: false, useRegex: false),
            ])
        definition.normalizers = [.nfc]
        do { return try Tokenizer(definition, file: "built in") } catch { fatalError("\(error)") }
    }()
}

extension Tokenizer {
    /// Encodes and decodes texts that hold what patterns look for.
    func exercise() throws {
        let texts = [
            "", " ", "Hello, world! 123 \t\n  it's <|im_start|>user\r\n\u{1F600} e\u{301} \u{180E}",
            String(repeating: "ab ", count: 20), definition.addedTokens.first?.content ?? "a",
        ]
        for text in texts {
            guard let ids = try? encode(text, addSpecialTokens: true) else { continue }
            guard ids.allSatisfy({ $0 >= 0 && Int($0) < vocabularySize }) else {
                throw BrokenPromise("ids are in the vocabulary")
            }
            _ = decode(ids, skipSpecialTokens: true)
            var decoder = IncrementalDecoder(self)
            var pieces = ids.map { decoder.append($0) }.joined()
            pieces += decoder.finish()
            guard pieces.utf8.elementsEqual(decode(ids).utf8) else {
                throw BrokenPromise("pieces joined are the whole")
            }
        }
        _ = fingerprint
    }
}
