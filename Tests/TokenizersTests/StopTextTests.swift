import Testing
import Tokenizers

/// Stop texts over a vocabulary in which they begin and end within tokens.
@Suite struct StopTextTests {
    /// A vocabulary with byte tokens, as SentencePiece's have them.
    private static let tokens = [
        "<unk>", "a", "b", "ab", "END", "xE", "ND.", "D", "N", "</s>", "<0x0A>", "<0xC3>", "<0xA9>",
    ]

    private func tokenizer() throws -> Tokenizer {
        let vocabulary = Self.tokens.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", ")
        let added = [(0, "<unk>"), (9, "</s>")].map { id, text in
            """
            {"id": \(id), "content": "\(text)", "single_word": false, "lstrip": false, "rstrip": false, \
            "normalized": false, "special": true}
            """
        }
        let json = """
            {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [\(added.joined(separator: ", "))], \
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, \
            "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}, \
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, \
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, \
            "vocab": {\(vocabulary)}, "merges": ["a b"]}}
            """
        return try Tokenizer(json: Array(json.utf8), file: "tokenizer.json")
    }

    /// The number of the token, from 1, that completes one of the texts; nil: none does.
    private func end(_ texts: [String], _ tokens: [String]) throws -> Int? {
        let tokenizer = try tokenizer()
        var matcher = try #require(StopTextMatcher(texts, tokenizer))
        for (place, token) in tokens.enumerated() {
            let id = try #require(Self.tokens.firstIndex(of: token))
            if matcher.append(Int32(id)) { return place + 1 }
        }
        return nil
    }

    @Test(
        arguments: [
            // Within one token, over two and three, in the middle of the last.
            (["END"], ["a", "END", "b"], 2), (["END"], ["a", "xE", "ND.", "b"], 3), (["END"], ["xE", "N", "D"], 3),
            (["bEN"], ["ab", "END"], 2), (["END."], ["xE", "ND.", "b"], 2),
            // What looks like it and is none, and a beginning that has to be given up.
            (["END"], ["xE", "N", "N", "D"], nil), (["aab"], ["a", "a", "ab"], 3), (["END"], ["xE", "xE", "ND."], 3),
            // The first of several, and special tokens are text as well.
            (["zzz", "b", "END"], ["a", "END", "b"], 2), (["b</s>"], ["b", "</s>"], 2),
            // A line feed is a token of bytes, which counts as soon as it is text; half a character never does.
            (["\n"], ["a", "<0x0A>", "b"], 2), (["\n\n"], ["<0x0A>", "<0x0A>", "a"], 2),
            (["é"], ["<0xC3>", "<0xA9>", "a"], 2), (["\u{FFFD}"], ["<0xC3>", "a"], 2), (["b\n"], ["ab", "<0x0A>"], 2),
        ] as [([String], [String], Int?)])
    func theTokenThatCompletesATextEndsIt(texts: [String], tokens: [String], expected: Int?) throws {
        #expect(try end(texts, tokens) == expected)
    }

    /// One that came too early is not met again by what follows it.
    @Test func aTextCountsOnce() throws {
        let tokenizer = try tokenizer()
        var matcher = try #require(StopTextMatcher(["\n", "END"], tokenizer))
        let tokens = ["<0x0A>", "a", "END", "a", "<0x0A>", "<0x0A>", "b"]
        let counted = tokens.map { matcher.append(Int32(Self.tokens.firstIndex(of: $0) ?? 0)) }
        #expect(counted == [true, false, true, false, true, true, false])
    }

    @Test func noTextsNeedNoMatcher() throws {
        #expect(StopTextMatcher([], try tokenizer()) == nil)
    }
}
