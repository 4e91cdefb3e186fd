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

    static let json = FuzzTarget(name: "json") { bytes in
        guard let value = try? JSONValue.parse(bytes) else { return }
        for pretty in [true, false] {
            guard let again = try? JSONValue.parse(value.text(pretty: pretty)), again == value else {
                throw BrokenPromise("written JSON is read back")
            }
        }
    }

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
