import JSON
import Testing
import Tokenizers

/// Every part of a definition against the Hugging Face library (Tests/Fixtures/tokenizers).
@Suite struct VariantTests {
    static let variants: [String] = {
        let json = try? Fixtures.json(Fixtures.repository + "/Tests/Fixtures/tokenizers/variants.json")
        return json?.array?.compactMap { $0["name"]?.string } ?? []
    }()

    @Test func findsTheFixtures() { #expect(Self.variants.count >= 15) }

    @Test(arguments: variants) func matches(name: String) throws {
        let all = try Fixtures.json(Fixtures.repository + "/Tests/Fixtures/tokenizers/variants.json")
        let variant = try #require(all.array?.first { $0["name"]?.string == name })
        let tokenizer = try Tokenizer(TokenizerDefinition(json: try Self.definition(variant), file: name), file: name)
        let special = variant["add_special_tokens"]?.bool ?? false
        for value in try #require(variant["cases"]?.array) {
            let text = try #require(value["text"]?.string)
            let ids = try #require(value["ids"]?.array).map { Int32($0.int ?? -1) }
            #expect(try tokenizer.encode(text, addSpecialTokens: special) == ids, "\(text.debugDescription)")
            #expect(Array(tokenizer.decode(ids).utf8) == Array(try #require(value["decoded"]?.string).utf8))
            #expect(
                Array(tokenizer.decode(ids, skipSpecialTokens: true).utf8)
                    == Array(try #require(value["decoded_plain"]?.string).utf8))
        }
        // What we write means the same.
        let again = try TokenizerDefinition(json: tokenizer.definition.json, file: name)
        #expect(again == tokenizer.definition)
        #expect(try Tokenizer(again, file: name).fingerprint == tokenizer.fingerprint)
    }

    /// The whole tokenizer.json of a variant.
    static func definition(_ variant: JSONValue) throws -> JSONValue {
        let base = try #require(variant["base"]?.string)
        var json = try #require(
            try Fixtures.json("\(Fixtures.repository)/Tests/Fixtures/golden/\(base).tokenizer.json").object)
        for member in variant["replace"]?.object?.members ?? [] { json[member.key] = member.value }
        var model = try #require(json["model"]?.object)
        for member in variant["model"]?.object?.members ?? [] { model[member.key] = member.value }
        let dropped = Set(variant["without_tokens"]?.array?.compactMap(\.string) ?? [])
        let letters = dropped.compactMap { $0.count == 1 ? $0.first : nil }
        var vocabulary = try #require(model["vocab"]?.object)
        vocabulary.members.removeAll { dropped.contains($0.key) }
        vocabulary.members += variant["with_tokens"]?.object?.members ?? []
        model["vocab"] = .object(vocabulary)
        model["merges"] = .array(
            try #require(model["merges"]?.array).filter { merge in
                !(merge.array ?? []).contains { part in letters.contains { part.string?.contains($0) ?? false } }
            })
        json["model"] = .object(model)
        return .object(json)
    }
}
