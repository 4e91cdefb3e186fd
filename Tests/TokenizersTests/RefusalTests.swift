import JSON
import Testing
import Tokenizers

/// What a tokenizer.json can hold and this tokenizer does not do is refused by name.
@Suite struct RefusalTests {
    static let base =
        #"{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"#
        + #""pre_tokenizer":{"type":"ByteLevel"},"decoder":{"type":"ByteLevel"}}"#

    static func json(_ change: (inout JSONObject) -> Void) throws -> JSONValue {
        var json = try #require(try JSONValue.parse(base).object)
        change(&json)
        return .object(json)
    }

    static func model(_ change: (inout JSONObject) -> Void) throws -> JSONValue {
        try json { json in
            guard var model = json["model"]?.object else { return }
            change(&model)
            json["model"] = .object(model)
        }
    }

    func expect(_ json: JSONValue, _ code: TokenizerError.Code, _ text: String) {
        let error = #expect(throws: TokenizerError.self) {
            try Tokenizer(TokenizerDefinition(json: json, file: "dir/tokenizer.json"), file: "dir/tokenizer.json")
        }
        #expect(error?.code == code)
        #expect(error?.message.hasPrefix("dir/tokenizer.json: ") == true)
        #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
    }

    @Test func theBaseIsFine() throws {
        let tokenizer = try Tokenizer(json: Array(Self.base.utf8), file: "x")
        #expect(try tokenizer.encode("ab") == [2])
    }

    @Test func unsupportedParts() throws {
        expect(try Self.model { $0["type"] = "Unigram" }, .unsupported, "Unigram")
        for type in ["WordPiece", "WordLevel"] {
            expect(try Self.model { $0["type"] = .string(type) }, .unsupported, "\(type) (model.type) is not supported")
        }
        expect(try Self.model { $0["dropout"] = 0.1 }, .unsupported, "dropout")
        expect(try Self.model { $0["end_of_word_suffix"] = "</w>" }, .unsupported, "</w>")
        expect(try Self.json { $0["normalizer"] = ["type": "Precompiled"] }, .unsupported, "Precompiled")
        expect(try Self.json { $0["pre_tokenizer"] = ["type": "UnicodeScripts"] }, .unsupported, "UnicodeScripts")
        expect(try Self.json { $0["decoder"] = nil }, .unsupported, "without a decoder")
        expect(try Self.json { $0["decoder"] = ["type": "WordPiece"] }, .unsupported, "WordPiece")
        expect(try Self.json { $0["post_processor"] = ["type": "BertProcessing"] }, .unsupported, "BertProcessing")
    }

    /// Parts that could make a text longer without bound, or whose text would come only at its very end.
    @Test func unboundedParts() throws {
        func sequence(_ key: String, _ parts: JSONValue...) -> JSONValue {
            .object(JSONObject([.init(key: "type", value: "Sequence"), .init(key: key, value: .array(parts))]))
        }
        let metaspace: JSONValue = ["type": "Metaspace", "replacement": "_"]
        let bytes: JSONValue = ["type": "ByteLevel"]
        expect(
            try Self.json { $0["pre_tokenizer"] = sequence("pretokenizers", metaspace, metaspace) }, .unsupported,
            "more than one Metaspace")
        expect(
            try Self.json { $0["pre_tokenizer"] = sequence("pretokenizers", bytes, bytes) }, .unsupported,
            "more than one ByteLevel")
        let replace: JSONValue = ["type": "Replace", "pattern": ["Regex": "a"], "content": "b"]
        expect(
            try Self.json { $0["decoder"] = sequence("decoders", ["type": "Fuse"], replace) }, .unsupported, "Replace")
        expect(
            try Self.json { $0["decoder"] = sequence("decoders", ["type": "Fuse"], ["type": "ByteFallback"]) },
            .unsupported, "ByteFallback")
        let growing: JSONValue = ["type": "Replace", "pattern": ["String": "a"], "content": "aaaaaaaa"]
        let json = try Self.json {
            $0["normalizer"] = .object([
                "type": "Sequence", "normalizers": .array([JSONValue](repeating: growing, count: 60)),
            ])
        }
        let tokenizer = try Tokenizer(TokenizerDefinition(json: json, file: "x"), file: "x")
        #expect(throws: TokenizerError.self) { try tokenizer.encode("a") }
        expect(
            try Self.json {
                $0["normalizer"] = ["type": "Strip", "strip_left": true, "strip_right": true]
                $0["added_tokens"] = [["id": 3, "content": " ", "normalized": true]]
            }, .unsupported, "id 3")
        expect(
            try Self.json {
                $0["pre_tokenizer"] = [
                    "type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "add_prefix_space": false,
                ]
            }, .malformed, "prepend_scheme first")
    }

    @Test func malformedParts() throws {
        expect(try Self.json { $0["model"] = nil }, .malformed, "no model")
        expect(try Self.model { $0["vocab"] = [:] }, .malformed, "vocabulary")
        expect(try Self.model { $0["vocab"] = ["a": -1] }, .malformed, "'a'")
        expect(try Self.model { $0["vocab"] = ["a": 99_999_999] }, .malformed, "too large")
        expect(try Self.model { $0["vocab"] = ["a": 0, "b": 1, "ab": 1] }, .malformed, "the same id, 1")
        expect(try Self.model { $0["merges"] = ["a b c"] }, .malformed, "a b c")
        expect(try Self.model { $0["merges"] = ["b a"] }, .malformed, "b a")
        expect(
            try Self.json {
                $0["pre_tokenizer"] = [
                    "type": "Sequence",
                    "pretokenizers": [
                        ["type": "Split", "pattern": ["Regex": "(a"], "behavior": "Isolated"], ["type": "ByteLevel"],
                    ],
                ]
            }, .malformed, "(a")
        let part: JSONValue = ["type": "Digits"]
        expect(
            try Self.json {
                $0["pre_tokenizer"] = [
                    "type": "Sequence", "pretokenizers": .array([JSONValue](repeating: part, count: 65)),
                ]
            }, .malformed, "65 parts")
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: Array("{".utf8), file: "t.json") }
        #expect(error?.message.hasPrefix("t.json: not valid JSON") == true)
    }

    /// Added tokens that the vocabulary lacks are numbered in the order of the file, whatever ids it gives them.
    @Test func writtenAddedTokensKeepTheirOrder() throws {
        let json = try Self.json {
            $0["added_tokens"] = [["id": 9, "content": "<x>"], ["id": 8, "content": "<y>"]]
        }
        let tokenizer = try Tokenizer(TokenizerDefinition(json: json, file: "x"), file: "x")
        let again = try Tokenizer(TokenizerDefinition(json: tokenizer.definition.json, file: "y"), file: "y")
        #expect(tokenizer.id(of: "<x>") == 3 && again.id(of: "<x>") == 3 && again.id(of: "<y>") == 4)
        #expect(again.fingerprint == tokenizer.fingerprint)
    }

    /// Ids that encoding puts around a text reach the embedding as they are.
    @Test func templatesStayInTheVocabulary() throws {
        func template(_ ids: [Int], pieces: Int = 1) throws -> JSONValue {
            let piece: JSONValue = ["SpecialToken": ["id": "<s>"]]
            return try Self.json {
                $0["post_processor"] = [
                    "type": "TemplateProcessing",
                    "single": .array([["Sequence": ["id": "A"]]] + [JSONValue](repeating: piece, count: pieces)),
                    "special_tokens": ["<s>": ["ids": .array(ids.map(JSONValue.integer))]],
                ]
            }
        }
        let tokenizer = try Tokenizer(TokenizerDefinition(json: template([2, 0]), file: "x"), file: "x")
        #expect(try tokenizer.encode("b", addSpecialTokens: true) == [1, 2, 0])
        expect(try template([3]), .malformed, "token id 3")
        expect(try template([-1]), .malformed, "token id -1")
        expect(try template([0], pieces: 256), .malformed, "256 pieces")
        expect(try template([Int](repeating: 0, count: 200), pieces: 2), .malformed, "more than 256 tokens")
    }

    /// A small file must not make tables of millions of rows.
    @Test func tablesAreInProportionToTheFile() throws {
        expect(try Self.model { $0["vocab"] = ["a": 0, "b": 1, "ab": 1_000_000] }, .malformed, "too large")
        let long = String(repeating: "x", count: 1 << 22)
        expect(
            try Self.json { $0["added_tokens"] = [["id": 3, "content": .string(long + "y")]] }, .malformed,
            "added tokens")
    }
}
