import Tokenizers

extension GGUFMetadata {
    /// Fills in a SentencePiece tokenizer ('llama'): its scores become a list of merges, as transformers' converter makes
    /// one of them, so that the tokenizer can be written as a tokenizer.json.
    ///
    /// llama.cpp joins the neighbours whose joined text is the token with the highest score, the leftmost of equals.
    /// Here every way to make a token of two is a merge, ordered by the token's score; those with the same score, which
    /// are ways to make the same token, by the longer left side.
    func describeSentencePiece(
        _ definition: inout TokenizerDefinition, tokens: [String], types: [Int64]
    ) throws {
        if try optionalBool("tokenizer.ggml.remove_extra_whitespaces") == true {
            throw ModelError(
                .unsupported,
                "\(file.path): tokenizer.ggml.remove_extra_whitespaces is not supported for tokenizer 'llama'")
        }
        guard let scores = try optionalDoubles("tokenizer.ggml.scores"), scores.count == tokens.count else {
            throw ModelError(
                .malformed, "\(file.path): tokenizer.ggml.scores is missing or not one number for each token")
        }
        guard scores.allSatisfy(\.isFinite) else {
            throw ModelError(.malformed, "\(file.path): tokenizer.ggml.scores holds a number that is not finite")
        }
        definition.merges = try Self.merges(tokens: tokens, types: types, scores: scores, path: file.path)
        definition.fallsBackToBytes = true
        definition.fusesUnknown = true
        definition.unknownToken = types.firstIndex(of: 2).map { tokens[$0] }
        let space = "\u{2581}"
        let addsPrefix = try optionalBool("tokenizer.ggml.add_space_prefix") ?? true
        definition.normalizers =
            (addsPrefix ? [.prepend(space)] : []) + [.replace(.string(" "), with: space)]
        definition.decoders =
            [.replace(.string(space), with: " "), .byteFallback, .fuse]
            + (addsPrefix ? [.strip(content: " ", start: 1, stop: 0)] : [])
        // As llama.cpp: Phi-3's special tokens take the white space after them along.
        let name = try (optionalString("general.name") ?? "").lowercased()
        if try string("general.architecture") == "phi3" || name.contains("phi-3") || name.contains("phi3") {
            for index in definition.addedTokens.indices {
                let content = definition.addedTokens[index].content
                definition.addedTokens[index].stripsRight = !["<unk>", "<s>", "<|endoftext|>"].contains(content)
            }
        }
    }

    /// Bytes of all splits of all tokens that are looked up; real vocabularies have some tens of megabytes.
    private static let maximumSplitByteCount = 1 << 30

    private static func merges(
        tokens: [String], types: [Int64], scores: [Double], path: String
    ) throws -> [TokenizerDefinition.Merge] {
        var ids: [ArraySlice<UInt8>: Int] = [:]
        var texts: [[UInt8]] = []
        // 1 are normal tokens, 4 those that the model's makers added; the others are never made of two.
        func takesPart(_ id: Int) -> Bool { types[id] == 1 || types[id] == 4 }
        var work = 0
        for (id, token) in tokens.enumerated() {
            texts.append(Array(token.utf8))
            guard takesPart(id) else { continue }
            ids[texts[id][...]] = id
            work += texts[id].count * texts[id].count
            guard work <= maximumSplitByteCount else {
                throw ModelError(.malformed, "\(path): tokenizer.ggml.tokens has tokens longer than any real ones")
            }
        }
        var merges: [(score: Double, left: Int, right: Int, token: Int)] = []
        for (id, text) in texts.enumerated() where takesPart(id) && text.count > 1 {
            for split in 1..<text.count where text[split] & 0xC0 != 0x80 {
                guard let left = ids[text[..<split]], let right = ids[text[split...]] else { continue }
                merges.append((scores[id], left, right, id))
            }
        }
        // Lengths in characters, as Python counts them.
        let lengths = tokens.map(\.unicodeScalars.count)
        func key(_ m: (score: Double, left: Int, right: Int, token: Int)) -> (Double, Int, Int, Int, Int, Int) {
            (-m.score, -lengths[m.left], -lengths[m.right], m.token, m.left, m.right)
        }
        merges.sort { key($0) < key($1) }
        return merges.map { .init(left: tokens[$0.left], right: tokens[$0.right]) }
    }
}
