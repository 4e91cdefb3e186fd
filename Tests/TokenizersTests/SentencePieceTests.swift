import Foundation
import JSON
import TestSupport
import Testing
import Tokenizers

/// SentencePiece-style tokenizers against the Hugging Face library (Tests/Fixtures/golden/spm, .../tokenizers).
@Suite struct SentencePieceTests {
    static let folder = Fixtures.repository + "/Tests/Fixtures/golden/spm"
    static let names = ["spm-llama2", "spm-mistral", "spm-gemma", "spm-phi3", "spm-always"]

    /// The whole text and the text that comes token by token are the same.
    static func decoded(_ tokenizer: Tokenizer, _ ids: [Int32], skipSpecialTokens: Bool = false) -> String {
        var decoder = IncrementalDecoder(tokenizer, skipSpecialTokens: skipSpecialTokens)
        let pieces = ids.map { decoder.append($0) }.joined() + decoder.finish()
        let whole = tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens)
        #expect(pieces.utf8.elementsEqual(whole.utf8))
        return whole
    }

    static func ids(_ value: JSONValue?) throws -> [Int32] {
        try #require(value?.array).map { Int32($0.int ?? -1) }
    }

    @Test(arguments: names) func golden(name: String) throws {
        let tokenizer = try Fixtures.tokenizer("\(Self.folder)/\(name).tokenizer.json")
        let cases = try #require(try Fixtures.json(Self.folder + "/spm.json")[name]?.array)
        #expect(cases.count > 50)
        for value in cases {
            let text = try #require(value["text"]?.string)
            let ids = try Self.ids(value["ids"])
            #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)")
            #expect(try tokenizer.encode(text, addSpecialTokens: true) == Self.ids(value["ids_special"]))
            let expected = try #require(value["decoded"]?.string)
            #expect(Self.decoded(tokenizer, ids).utf8.elementsEqual(expected.utf8), "\(text.debugDescription)")
        }
    }

    static let variants: [JSONValue] = {
        let file = Fixtures.repository + "/Tests/Fixtures/tokenizers/spm-variants.json"
        return (try? Fixtures.json(file).array) ?? []
    }()

    @Test func findsTheFixtures() { #expect(Self.variants.count > 20) }

    @Test(arguments: variants.indices) func variant(index: Int) throws {
        let variant = Self.variants[index]
        let name = try #require(variant["name"]?.string)
        let tokenizer = try Tokenizer(TokenizerDefinition(json: Self.definition(variant), file: name), file: name)
        for value in try #require(variant["cases"]?.array) {
            let text = try #require(value["text"]?.string)
            #expect(try tokenizer.encode(text) == Self.ids(value["ids"]), "\(name): \(text.debugDescription)")
            let ids = try Self.ids(value["decode"])
            for (key, skips) in [("decoded", false), ("decoded_plain", true)] {
                let expected = try #require(value[key]?.string)
                #expect(
                    Self.decoded(tokenizer, ids, skipSpecialTokens: skips).utf8.elementsEqual(expected.utf8), "\(name)")
            }
        }
        // What we write means the same.
        let again = try TokenizerDefinition(json: tokenizer.definition.json, file: name)
        #expect(again == tokenizer.definition)
        #expect(try Tokenizer(again, file: name).fingerprint == tokenizer.fingerprint)
    }

    /// The whole tokenizer.json of a variant.
    static func definition(_ variant: JSONValue) throws -> JSONValue {
        var json = try #require(try Fixtures.json(folder + "/spm-mistral.tokenizer.json").object)
        for member in variant["parts"]?.object?.members ?? [] { json[member.key] = member.value }
        var model = try #require(json["model"]?.object)
        for member in variant["model"]?.object?.members ?? [] { model[member.key] = member.value }
        let missing = Set(variant["without"]?.array?.compactMap(\.string) ?? [])
        var vocabulary = try #require(model["vocab"]?.object)
        vocabulary.members.removeAll { missing.contains($0.key) }
        model["vocab"] = .object(vocabulary)
        if variant["strings"]?.bool == true {
            model["merges"] = .array(
                try #require(model["merges"]?.array).map { merge in
                    .string((merge.array ?? []).compactMap(\.string).joined(separator: " "))
                })
        }
        json["model"] = .object(model)
        return .object(json)
    }

    /// SentencePiece's files do not cut texts into words: a text is one word.
    @Test func longTextsTakeNoSquareOfTheirLength() throws {
        let tokenizer = try Fixtures.tokenizer("\(Self.folder)/spm-llama2.tokenizer.json")
        // The best of three, since other tests run beside this one.
        func seconds(_ count: Int) throws -> Double {
            let text = String(repeating: "the world is wide and the words are many ", count: count)
            return try (0..<3).map { _ throws -> Double in
                let start = ContinuousClock.now
                #expect(try tokenizer.encode(text).count > count)
                return (ContinuousClock.now - start) / .seconds(1)
            }.min() ?? 0
        }
        _ = try seconds(100)
        let short = try seconds(1_000)
        // 16 times the text: 256 times the time if it were quadratic.
        #expect(try seconds(16_000) < max(0.2, 80 * short))
    }

    /// Bytes in a row are text only when all of them together are UTF-8; the stream waits for that.
    @Test func bytesWaitForTheirLast() throws {
        let tokenizer = try Fixtures.tokenizer("\(Self.folder)/spm-llama2.tokenizer.json")
        let bytes = Array("€".utf8).map { Int32($0) + 3 }
        var decoder = IncrementalDecoder(tokenizer)
        #expect(bytes.map { decoder.append($0) } == ["", "", ""])
        #expect(decoder.finish() == "€")
        #expect(tokenizer.decode(bytes + [3 + 0xFF]) == String(repeating: "\u{FFFD}", count: 4))
    }

    /// Examples of the Unicode standard (UAX 15), one that only the compatibility forms change, and marks of Unicode 11,
    /// which the library, with the tables of Unicode 9, neither moves nor composes over.
    @Test(arguments: [
        (TokenizerDefinition.Normalizer.nfc, "e\u{301}\u{FB01}", "\u{E9}\u{FB01}"),
        (.nfd, "\u{E9}\u{FB01}", "e\u{301}\u{FB01}"), (.nfkc, "e\u{301}\u{FB01}\u{2460}", "\u{E9}fi1"),
        (.nfkd, "\u{E9}\u{FB01}\u{1E9B}\u{323}", "e\u{301}fis\u{323}\u{307}"), (.lowercase, "ΑΣ İ", "ας i\u{307}"),
        (.nfd, "\u{E9}\u{360}\u{9FE}\u{323}", "e\u{301}\u{360}\u{9FE}\u{323}"),
        (.nfc, "e\u{9FE}\u{301}\u{360}\u{323}\u{32FF}", "e\u{9FE}\u{323}\u{301}\u{360}\u{32FF}"),
    ]) func normalizers(normalizer: TokenizerDefinition.Normalizer, text: String, expected: String) throws {
        var definition = Fixtures.definition()
        definition.normalizers = [normalizer]
        let tokenizer = try Tokenizer(definition, file: "test")
        // A sigma at the end of a word is no exception: each character stands for itself.
        let wanted = normalizer == .lowercase ? expected.replacing("ς", with: "σ") : expected
        #expect(tokenizer.decode(try tokenizer.encode(text)).utf8.elementsEqual(wanted.utf8))
    }
}
