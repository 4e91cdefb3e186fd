import Foundation
import Templates
import Testing
import Tokenizers

/// The ids and texts that the Hugging Face library gives.
@Suite struct GoldenTests {
    /// Names in tokenizers.json whose tokenizer file is at hand.
    static let cases: [(name: String, path: String)] = {
        guard let json = try? Fixtures.json(Fixtures.golden + "/tokenizers.json"), let members = json.object?.members
        else { return [] }
        return members.compactMap { member in
            let path = "\(Fixtures.golden)/\(member.key).tokenizer.json"
            if FileManager.default.fileExists(atPath: path) { return (member.key, path) }
            if member.key == "smollm2", let path = Fixtures.smollm2 { return (member.key, path) }
            return nil
        }
    }()

    @Test(arguments: cases) func matches(name: String, path: String) throws {
        let tokenizer = try Fixtures.tokenizer(path)
        let texts = try #require(try Fixtures.json(Fixtures.golden + "/tokenizers.json")[name]?.array)
        #expect(!texts.isEmpty)
        for value in texts {
            let text = try #require(value["text"]?.string)
            let ids = try #require(value["ids"]?.array).map { Int32($0.int ?? -1) }
            #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)")
            // Bytes, not characters: equal strings may differ in normalisation.
            let decoded = try #require(value["decoded"]?.string)
            #expect(Array(tokenizer.decode(ids).utf8) == Array(decoded.utf8))
            var decoder = IncrementalDecoder(tokenizer)
            let pieces = ids.map { decoder.append($0) }
            #expect(Array((pieces.joined() + decoder.finish()).utf8) == Array(decoded.utf8))
        }
    }

    @Test func findsTheFixtures() {
        // A wrong directory would pass all tests above by running none.
        #expect(Self.cases.count >= 2)
    }

    @Test(.enabled(if: Fixtures.smollm2 != nil)) func smollm2Prompts() throws {
        let path = try #require(Fixtures.smollm2)
        let tokenizer = try Fixtures.tokenizer(path)
        let folder = String(path.dropLast("tokenizer.json".count))
        let config = try Fixtures.json(folder + "tokenizer_config.json")
        let template = ChatTemplate(
            try Template(#require(config["chat_template"]?.string), name: "tokenizer_config.json"),
            origin: .model(file: "tokenizer_config.json"))
        #expect(tokenizer.stopTokenIDs(endOfAnswer: template.endOfAnswer) == [2])
        let golden = try Fixtures.json(Fixtures.golden + "/smollm2.json")
        for value in try #require(golden["cases"]?.array) {
            let question = try #require(value["question"]?.string)
            let prompt = try template.render(Conversation(user: question))
            #expect(prompt == value["prompt"]?.string)
            let ids = try #require(value["prompt_ids"]?.array).map { Int32($0.int ?? -1) }
            #expect(try tokenizer.encode(prompt) == ids)
            let greedy = try #require(value["greedy_ids"]?.array).map { Int32($0.int ?? -1) }
            #expect(tokenizer.decode(greedy) == value["greedy_text"]?.string)
        }
    }
}
