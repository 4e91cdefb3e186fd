import TestSupport
import Testing
import Tokenizers

@Suite struct EncodingTests {
    /// Joins the lowest-ranked leftmost pair until there is none: the definition, without any cleverness.
    static func naive(_ word: [UInt8], _ definition: TokenizerDefinition) -> [String] {
        let ranks = Dictionary(
            definition.merges.enumerated().map { ($1.left + " " + $1.right, $0) }, uniquingKeysWith: { $1 })
        var symbols = word.map { String(Fixtures.letter($0)) }
        while true {
            var best: (rank: Int, index: Int)?
            for index in symbols.indices.dropLast() {
                if let rank = ranks[symbols[index] + " " + symbols[index + 1]], rank < best?.rank ?? .max {
                    best = (rank, index)
                }
            }
            guard let best else { return symbols }
            symbols[best.index] += symbols[best.index + 1]
            symbols.remove(at: best.index + 1)
        }
    }

    @Test func longAndShortWordsMergeByDefinition() throws {
        var generator = SeededRandom(seed: 7)
        let letters = Array("abc".utf8)
        for _ in 0..<6 {
            let words = (0..<12).map { _ in
                String(
                    decoding: (0..<Int.random(in: 2...6, using: &generator)).map { _ in
                        letters.randomElement(using: &generator)!
                    }, as: UTF8.self)
            }
            let definition = Fixtures.definition(words: words)
            let tokenizer = try Tokenizer(definition, file: "test")
            for count in [1, 2, 5, 23, 24, 25, 26, 60, 200] {
                let word = (0..<count).map { _ in letters.randomElement(using: &generator)! }
                let ids = try tokenizer.encode(String(decoding: word, as: UTF8.self))
                #expect(ids.map { tokenizer.token($0)! } == Self.naive(word, definition))
            }
        }
    }

    @Test func everyStringSurvives() throws {
        let tokenizer = try Tokenizer(Fixtures.definition(words: [" the", "he"]), file: "test")
        var generator = SeededRandom(seed: 3)
        for _ in 0..<300 {
            var scalars = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                if let scalar = Unicode.Scalar(UInt32.random(in: 0...0x2FFFF, using: &generator)) {
                    scalars.append(scalar)
                }
            }
            let text = String(scalars)
            let ids = try tokenizer.encode(text)
            #expect(Array(tokenizer.decode(ids).utf8) == Array(text.utf8))
        }
        #expect(try tokenizer.encode("").isEmpty)
        #expect(tokenizer.decode(try tokenizer.encode("a\0b")) == "a\0b")
    }

    @Test func incrementalDecodingIsDecoding() throws {
        let tokenizer = try Tokenizer(Fixtures.definition(), file: "test")
        var generator = SeededRandom(seed: 5)
        // Whole characters, cut ones, and bytes that are none.
        let seeds: [[UInt8]] = [
            Array("é".utf8), Array("中".utf8), Array("😀".utf8), [0xC3], [0xE4, 0xB8], [0xF0, 0x9F, 0x98], [0xFF],
            [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90], [0x80], [0x61], [0xE0, 0x80], [0xF0, 0x80],
        ]
        for _ in 0..<400 {
            let bytes = (0..<8).flatMap { _ in seeds.randomElement(using: &generator)! }
            let ids = bytes.map { tokenizer.id(of: String(Fixtures.letter($0)))! }
            var decoder = IncrementalDecoder(tokenizer)
            var text = ""
            for id in ids {
                let piece = decoder.append(id)
                text += piece
            }
            text += decoder.finish()
            #expect(Array(text.utf8) == Array(tokenizer.decode(ids).utf8))
        }
        // A character comes out with its last byte, not later.
        var decoder = IncrementalDecoder(tokenizer)
        let pieces = Array("a😀".utf8).map { decoder.append(tokenizer.id(of: String(Fixtures.letter($0)))!) }
        #expect(pieces == ["a", "", "", "", "😀"])
        #expect(tokenizer.decode([-1, 5000]) == "")
    }

    @Test func patternsThatGiveUpAreNamed() throws {
        let definition = Fixtures.definition(preTokenizers: [
            .split(.regex(#"^(?:a|aa)+$"#), .isolated, invert: false),
            .byteLevel(addPrefixSpace: false, useRegex: false),
        ])
        let tokenizer = try Tokenizer(definition, file: "test")
        let error = #expect(throws: TokenizerError.self) {
            try tokenizer.encode(String(repeating: "a", count: 200) + "b")
        }
        #expect(error?.code == .pattern)
        #expect(error?.message.contains("gives up") == true)
    }

    @Test func fingerprintsTellTokenizersApart() throws {
        let one = try Tokenizer(Fixtures.definition(words: ["ab", "bc"]), file: "test")
        let same = try Tokenizer(Fixtures.definition(words: ["ab", "bc"]), file: "other")
        let order = try Tokenizer(Fixtures.definition(words: ["bc", "ab"]), file: "test")
        let added = try Tokenizer(
            Fixtures.definition(words: ["ab", "bc"], added: [.init(id: 258, content: "<x>")]), file: "test")
        #expect(one.fingerprint == same.fingerprint)
        #expect(Set([one, order, added].map(\.fingerprint)).count == 3)
        #expect(one.fingerprint.count == 64, "a SHA-256 in hexadecimal")
    }
}
