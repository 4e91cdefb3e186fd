import Foundation
import JSON
import Models
import Templates
import TestSupport
import Testing
import Tokenizers

/// Tokenizers made from GGUF metadata give the ids of the tokenizer.json they stand for.
@Suite struct GGUFTokenizerTests {
    /// A GGUF with the vocabulary of a golden tokenizer.json.
    static func builder(_ name: String, pre: String) throws -> GGUFBuilder {
        let path = "\(Fixtures.repository)/Tests/Fixtures/golden/\(name).tokenizer.json"
        let tokenizer = try Tokenizer(json: try Fixtures.read(path), file: path)
        var tokens: [String] = []
        var types: [Int32] = []
        for id in 0..<Int32(tokenizer.vocabularySize) {
            tokens.append(tokenizer.token(id) ?? "[PAD\(id)]")
            types.append(tokenizer.token(id) == nil ? 5 : tokenizer.isSpecial(id) ? 3 : 1)
        }
        var source = try ModelFiles.open("\(Fixtures.repository)/Tests/Fixtures/golden/llama-tied").configuration
        source.vocabularySize = tokens.count + 3
        var builder = GGUFBuilder()
        let folder = try withTemporaryFolder { folder -> GGUFBuilder in
            var zeros: [Float] = []
            try ModelWriter.write(to: folder, configuration: source, type: .f32) { spec in
                zeros = (0..<spec.count).map { Float($0 % 13) }
                return zeros.withUnsafeBufferPointer { $0 }
            }
            return try GGUFBuilder.converting(ModelFiles.open(folder))
        }
        builder = folder
        builder.metadata += [
            ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string(pre)),
            ("tokenizer.ggml.tokens", .strings(tokens + ["[PAD0]", "[PAD1]", "[PAD2]"])),
            ("tokenizer.ggml.token_type", .i32s(types + [5, 5, 5])),
            ("tokenizer.ggml.merges", .strings(tokenizer.definition.merges.map { "\($0.left) \($0.right)" })),
            ("tokenizer.chat_template", .string(Self.template)),
        ]
        return builder
    }

    static let template =
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>'"
        + " + '\\n'}}{% endfor %}"

    @Test(arguments: [("bpe-qwen", "qwen2"), ("bpe-llama3", "llama-bpe")])
    func golden(name: String, pre: String) throws {
        let texts = try #require(
            try JSONValue.parse(try Fixtures.read("\(Fixtures.repository)/Tests/Fixtures/golden/tokenizers.json"))[
                name]?
                .array)
        try withTemporaryFolder { folder in
            let model = try GGUFTests.open(Self.builder(name, pre: pre), in: folder)
            // The tokenizer is read from the GGUF, and from the folder that it is converted to.
            try ModelWriter.convert(from: model, to: folder + "/hf")
            let converted = try ModelFiles.open(folder + "/hf")
            #expect(try converted.loadTokenizer().fingerprint == model.loadTokenizer().fingerprint)
            for tokenizer in [try model.loadTokenizer(), try converted.loadTokenizer()] {
                #expect(tokenizer.endOfSequenceIDs == [2] && tokenizer.beginOfSequenceID == 1)
                for value in texts {
                    let text = try #require(value["text"]?.string)
                    let ids = try #require(value["ids"]?.array).map { Int32($0.int ?? -1) }
                    #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)")
                }
                // Llama 3 starts every text with its begin-of-text token.
                #expect(try tokenizer.encode("", addSpecialTokens: true) == (pre == "llama-bpe" ? [1] : []))
                #expect(tokenizer.id(of: "[PAD0]") == nil)
            }
            #expect(try model.chatTemplates().template() == converted.chatTemplates().template())
            #expect(try converted.chatTemplates().entries.map(\.source) == [Self.template])
            #expect(try model.chatTemplates().template(named: "llama3").origin == .builtIn("llama3"))
            #expect(throws: TemplateError.self) { try model.chatTemplates().template(named: "x") }
            let end = try model.chatTemplates().template().endOfAnswer
            #expect(try model.loadTokenizer().stopTokenIDs(endOfAnswer: end) == [2])
            #expect(try ModelFiles.openTokenizer(folder + "/hf/tokenizer.json").encode("a").count == 1)
        }
    }

    /// A GGUF whose scores are what the golden SentencePiece tokenizer's merges come from: the earlier, the higher.
    static func sentencePiece() throws -> GGUFBuilder {
        let name = "spm/spm-llama2"
        let path = "\(Fixtures.repository)/Tests/Fixtures/golden/\(name).tokenizer.json"
        let tokenizer = try Tokenizer(json: try Fixtures.read(path), file: path)
        var builder = try builder(name, pre: "default")
        var scores = [Float](repeating: -1e4, count: tokenizer.vocabularySize + 3)
        for (rank, merge) in tokenizer.definition.merges.enumerated() {
            guard let id = tokenizer.id(of: merge.left + merge.right) else { continue }
            scores[Int(id)] = max(scores[Int(id)], -Float(rank))
        }
        let types = scores.indices.map { id -> Int32 in
            switch id {
            case 0: 2
            case 1, 2: 3
            case 3..<259: 6
            default: id < tokenizer.vocabularySize ? 1 : 5
            }
        }
        builder.metadata.removeAll {
            ["tokenizer.ggml.merges", "tokenizer.ggml.model", "tokenizer.ggml.token_type"].contains($0.0)
        }
        let list = GGUFBuilder.little(UInt32(6)) + GGUFBuilder.little(UInt64(scores.count)) + GGUFBuilder.bytes(scores)
        builder.metadata += [
            ("tokenizer.ggml.model", .string("llama")), ("tokenizer.ggml.token_type", .i32s(types)),
            ("tokenizer.ggml.scores", .raw(type: 9, list)),
        ]
        return builder
    }

    @Test func scoresAreMerges() throws {
        let texts = try #require(
            try JSONValue.parse(try Fixtures.read("\(Fixtures.repository)/Tests/Fixtures/golden/spm/spm.json"))[
                "spm-llama2"]?.array)
        try withTemporaryFolder { folder in
            let model = try GGUFTests.open(Self.sentencePiece(), in: folder)
            try ModelWriter.convert(from: model, to: folder + "/hf")
            let converted = try ModelFiles.open(folder + "/hf")
            #expect(try converted.loadTokenizer().fingerprint == model.loadTokenizer().fingerprint)
            for tokenizer in [try model.loadTokenizer(), try converted.loadTokenizer()] {
                for value in texts {
                    let text = try #require(value["text"]?.string)
                    let ids = try #require(value["ids_special"]?.array).map { Int32($0.int ?? -1) }
                    #expect(try tokenizer.encode(text, addSpecialTokens: true) == ids, "\(text.debugDescription)")
                    #expect(tokenizer.decode(Array(ids.dropFirst())) == value["decoded"]?.string)
                }
            }
            var plain = try Self.sentencePiece()
            plain.metadata += [
                ("tokenizer.ggml.add_space_prefix", .bool(false)), ("tokenizer.ggml.add_bos_token", .bool(false)),
                ("tokenizer.ggml.add_eos_token", .bool(true)),
            ]
            let tokenizer = try GGUFTests.open(plain, in: folder).loadTokenizer()
            let ids = try tokenizer.encode("he", addSpecialTokens: true)
            #expect(ids.last == 2 && tokenizer.token(ids[0])?.first == "h")
            #expect(tokenizer.decode(try tokenizer.encode(" he")) == " he")
        }
    }

    /// Every name that is known compiles and keeps a text whole.
    @Test(arguments: ["dbrx", "refact", "gpt-4o", "deepseek-v3", "tekken", "qwen35", "olmo", "starcoder", "phi-2"])
    func knownPreTokenizers(pre: String) throws {
        try withTemporaryFolder { folder in
            let tokenizer = try GGUFTests.open(Self.builder("bpe-llama3", pre: pre), in: folder).loadTokenizer()
            let text = "It's 12345 naïve words,\n\n\t a/b 中文字 émile's — x=1;"
            #expect(tokenizer.decode(try tokenizer.encode(text)) == text)
            #expect(tokenizer.definition.ignoresMerges == (pre == "tekken"))
        }
    }

    @Test func sentencePieceModelsAreToldHowToConvert() throws {
        try withTemporaryFolder { folder in
            try Data("x".utf8).write(to: URL(filePath: folder + "/tokenizer.model"))
            let error = #expect(throws: ModelError.self) { try ModelFiles.openTokenizer(folder) }
            #expect(error?.message.contains("save_pretrained") == true)
        }
    }

    @Test func preTokenizersDiffer() throws {
        try withTemporaryFolder { folder in
            func definition(_ pre: String) throws -> TokenizerDefinition {
                try GGUFTests.open(Self.builder("bpe-qwen", pre: pre), in: folder).loadTokenizer().definition
            }
            let gpt2 = try definition("gpt-2")
            #expect(gpt2.preTokenizers == [.byteLevel(addPrefixSpace: false, useRegex: true)])
            let smollm = try definition("smollm")
            #expect(
                smollm.preTokenizers
                    == [.digits(individual: true), .byteLevel(addPrefixSpace: false, useRegex: true)])
            let qwen2 = try definition("qwen2")
            #expect(qwen2.normalizers == [.nfc] && !qwen2.ignoresMerges)
            let llama = try definition("llama-bpe")
            #expect(llama.ignoresMerges && llama.normalizers.isEmpty)
            let error = #expect(throws: ModelError.self) { try definition("deepseek-llm") }
            #expect(error?.message.contains("deepseek-llm") == true)
        }
    }

    @Test func refusals() throws {
        try withTemporaryFolder { folder in
            func expect(_ part: String, _ change: (inout GGUFBuilder) -> Void) throws {
                var builder = try Self.builder("bpe-qwen", pre: "qwen2")
                change(&builder)
                let model = try GGUFTests.open(builder, in: folder)
                let error = #expect(throws: (any Error).self) { try model.loadTokenizer() }
                #expect(error.map { "\($0)".contains(part) } == true, "\(error.map { "\($0)" } ?? "")")
            }
            func set(_ builder: inout GGUFBuilder, _ key: String, _ value: GGUFBuilder.Value) {
                builder.metadata.removeAll { $0.0 == key }
                builder.metadata.append((key, value))
            }
            try expect("'bert'") { set(&$0, "tokenizer.ggml.model", .string("bert")) }
            try expect("scores") { set(&$0, "tokenizer.ggml.model", .string("llama")) }
            try expect("remove_extra_whitespaces") {
                set(&$0, "tokenizer.ggml.model", .string("llama"))
                set(&$0, "tokenizer.ggml.remove_extra_whitespaces", .bool(true))
            }
            try expect("tokens") { set(&$0, "tokenizer.ggml.tokens", .strings([])) }
            try expect("token_type") { set(&$0, "tokenizer.ggml.token_type", .i32s([1])) }
            try expect("merge 0") { set(&$0, "tokenizer.ggml.merges", .strings(["abc"])) }
            try expect("vocabulary lacks") { set(&$0, "tokenizer.ggml.merges", .strings(["abc xyz"])) }
            try expect("merges is missing") { $0.metadata.removeAll { $0.0 == "tokenizer.ggml.merges" } }
        }
    }
}
