import Foundation
import Models
import TestSupport
import Testing
import Tokenizers

/// Tokenizers of other kinds are refused by name, with what to do.
@Suite struct TokenizerRefusalTests {
    private static func expect(_ words: [String], _ open: () throws -> Void) {
        do {
            try open()
            Issue.record("it opens")
        } catch {
            let text = "\(error)"
            for word in words { #expect(text.contains(word), "\(text)") }
            #expect(!text.contains("\n"))
        }
    }

    /// A folder whose only tokenizer is SentencePiece's own file.
    @Test func tokenizerModelAloneIsRefused() throws {
        try withTemporaryFolder { folder in
            let golden = "\(Fixtures.repository)/Tests/Fixtures/golden/llama-tied"
            for name in ["config.json", "model.safetensors"] {
                try FileManager.default.copyItem(atPath: "\(golden)/\(name)", toPath: "\(folder)/\(name)")
            }
            try Fixtures.write([10, 14, 10, 5], to: "\(folder)/tokenizer.model")
            let words = [
                folder, "tokenizer.model without tokenizer.json", "save_pretrained(FOLDER) writes tokenizer.json",
            ]
            Self.expect(words) { _ = try ModelFiles.openTokenizer(folder) }
            Self.expect(words) { _ = try ModelFiles.open(folder).loadTokenizer() }
            try FileManager.default.removeItem(atPath: "\(folder)/config.json")
            Self.expect(words) { _ = try ModelFiles.openTokenizer(folder) }
            try FileManager.default.removeItem(atPath: "\(folder)/tokenizer.model")
            try FileManager.default.copyItem(atPath: "\(golden)/config.json", toPath: "\(folder)/config.json")
            Self.expect(["tokenizer.json: missing"]) { _ = try ModelFiles.open(folder).loadTokenizer() }
        }
    }

    @Test(arguments: ["Unigram", "WordPiece", "WordLevel"]) func otherModelsAreRefused(type: String) throws {
        try withTemporaryFolder { folder in
            let file = "\(folder)/tokenizer.json"
            let model =
                type == "Unigram"
                ? #"{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.5]]}"#
                : #"{"type":"\#(type)","unk_token":"[UNK]","vocab":{"[UNK]":0,"a":1}}"#
            try Fixtures.write(Array(#"{"version":"1.0","added_tokens":[],"model":\#(model)}"#.utf8), to: file)
            for path in [file, folder] {
                Self.expect([file, "type \(type) (model.type) is not supported", "use a model whose tokenizer is BPE"])
                {
                    try Fixtures.write(Array("{}".utf8), to: "\(folder)/config.json")
                    _ = try ModelFiles.openTokenizer(path)
                }
            }
        }
    }

    /// llama.cpp's names of the same kinds, and others that it has.
    @Test(arguments: ["t5", "bert", "rwkv", "plamo2", "none"]) func otherGGUFTokenizersAreRefused(name: String) throws {
        try withTemporaryFolder { folder in
            var builder = try GGUFBuilder.converting(GGUFTests.golden("llama-tied"))
            builder.metadata += [
                ("tokenizer.ggml.model", .string(name)), ("tokenizer.ggml.tokens", .strings(["a", "b"])),
            ]
            let model = try GGUFTests.open(builder, in: folder)
            Self.expect([folder, "tokenizer '\(name)' is not supported", "'gpt2'", "'llama'"]) {
                _ = try model.loadTokenizer()
            }
        }
    }
}
