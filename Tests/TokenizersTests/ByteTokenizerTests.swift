import Testing
import Tokenizers

@Suite struct ByteTokenizerTests {
    private let definition = TokenizerDefinition.bytes(specialTokens: ["<|end|>"])

    @Test(arguments: ["37+58=7+8+0=15,3+5+1=09:95", " two  spaces\n\ttab", "Grüße, 世界 🙂", "", "\u{0}\u{7f}"])
    func idsAreTheBytes(text: String) throws {
        let tokenizer = try Tokenizer(definition, file: "bytes")
        let ids = try tokenizer.encode(text)
        #expect(ids == text.utf8.map { Int32($0) })
        #expect(tokenizer.decode(ids) == text)
    }

    @Test func theSpecialTokenIsOneIdAndIsLeftOut() throws {
        let tokenizer = try Tokenizer(definition, file: "bytes")
        #expect(tokenizer.vocabularySize == 257)
        #expect(try tokenizer.encode("a<|end|>") == [97, 256])
        #expect(tokenizer.decode([97, 256], skipSpecialTokens: true) == "a")
    }

    /// What is written is read back as the same tokenizer.
    @Test func theFileGivesTheSameIds() throws {
        let text = definition.json.text()
        let tokenizer = try Tokenizer(json: Array(text.utf8), file: "tokenizer.json")
        #expect(tokenizer.definition == definition)
        #expect(tokenizer.fingerprint == (try Tokenizer(definition, file: "bytes")).fingerprint)
    }
}
