extension Tokenizer {
    /// Ids that end an answer: the model's end-of-sequence tokens, and the one that its chat template writes.
    ///
    /// - Parameter endOfAnswer: what a template writes after an answer; the added token that it begins with counts.
    package func stopTokenIDs(endOfAnswer: String) -> [Int32] {
        var ids = endOfSequenceIDs
        if let id = endOfAnswerID(endOfAnswer), !ids.contains(id) { ids.append(id) }
        return ids
    }

    /// The added token that begins what a template writes after an answer; nil: none does.
    func endOfAnswerID(_ endOfAnswer: String) -> Int32? {
        let text = Array(endOfAnswer.drop { $0.isWhitespace }.utf8)
        let longest = definition.addedTokens.filter { !$0.content.isEmpty && text.starts(with: $0.content.utf8) }
            .max { $0.content.utf8.count < $1.content.utf8.count }
        return longest.flatMap { id(of: $0.content) }
    }
}

extension Tokenizer {
    /// The ids of a text with the special tokens that the tokenizer puts around texts, but none at its beginning that
    /// stands there already.
    package func encodeAddingSpecialTokens(_ text: String) throws(TokenizerError) -> [Int32] {
        var ids = try encode(text, addSpecialTokens: true)
        let prefix = definition.template.prefix
        if !prefix.isEmpty, ids.count >= 2 * prefix.count, Array(ids[prefix.count..<(2 * prefix.count)]) == prefix {
            ids.removeFirst(prefix.count)
        }
        return ids
    }
}
