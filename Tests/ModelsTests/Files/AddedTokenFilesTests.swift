import JSON
import Models
import TestSupport
import Testing
import Tokenizers

/// Tokens that the files beside tokenizer.json name; ids are those of transformers 4.57 and 5.24.
@Suite struct AddedTokenFilesTests {
    private static let text = "hi<tool>a [PAD] in b"
    private static let plain: [Int32] = [74, 75, 30, 86, 363, 32, 67, 439, 50, 35, 38, 63, 286, 303]
    /// The same with the word "in" as a token of its own.
    private static let withIn: [Int32] = [74, 75, 30, 86, 363, 32, 67, 439, 50, 35, 38, 63, 223, 263, 303]

    private static func open(_ files: [String: String], in folder: String) throws -> Tokenizer {
        let golden = "\(Fixtures.repository)/Tests/Fixtures/golden/bpe-qwen.tokenizer.json"
        try Fixtures.write(try Fixtures.read(golden), to: folder + "/tokenizer.json")
        for (name, text) in files { try writeText(text, to: "\(folder)/\(name)") }
        return try ModelFiles.openTokenizer(folder)
    }

    @Test(
        arguments: [
            ([:], plain), (["tokenizer_config.json": #"{"pad_token": "[PAD]"}"#], plain),
            (["tokenizer_config.json": #"{"added_tokens_decoder": {"1": {"content": "<|im_start|>"}}}"#], plain),
            (["added_tokens.json": #"{"<|im_end|>": 2, "<think>": 700}"#], plain),
            (["tokenizer_config.json": #"{"eos_token": "in"}"#], withIn),
            (["special_tokens_map.json": #"{"eos_token": {"content": "in", "lstrip": false}}"#], withIn),
            (["tokenizer_config.json": #"{"additional_special_tokens": ["in"]}"#], withIn),
            (
                ["tokenizer_config.json": #"{"added_tokens_decoder": {"263": {"content": "in", "special": true}}}"#],
                withIn
            ),
        ] as [([String: String], [Int32])])
    func whatTheTokenizerHas(files: [String: String], ids: [Int32]) throws {
        try withTemporaryFolder { folder in
            let encoded = try Self.open(files, in: folder).encode(Self.text)
            #expect(encoded == ids, "\(files)")
        }
    }

    @Test(arguments: [
        ("tokenizer_config.json", #"{"added_tokens_decoder": {"702": {"content": "<tool>"}}}"#, "<tool>"),
        ("tokenizer_config.json", #"{"added_tokens_decoder": {"9": {"content": "<|im_end|>"}}}"#, "<|im_end|>"),
        ("tokenizer_config.json", #"{"additional_special_tokens": [{"content": "<tool>"}]}"#, "<tool>"),
        ("added_tokens.json", #"{"<tool>": 702}"#, "<tool>"),
        ("tokenizer_config.json", #"{"eos_token": "<end>"}"#, "<end>"),
        ("special_tokens_map.json", #"{"bos_token": {"content": "<begin>"}}"#, "<begin>"),
    ]) func whatItLacksIsRefusedByName(file: String, text: String, token: String) throws {
        try withTemporaryFolder { folder in
            let error = #expect(throws: ModelError.self) { try Self.open([file: text], in: folder) }
            for word in ["\(folder)/\(file)", "'\(token)'", "save_pretrained(FOLDER)"] {
                #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
            }
        }
    }
}
