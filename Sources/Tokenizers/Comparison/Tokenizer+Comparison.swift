extension Tokenizer {
    /// The first difference between two tokenizers; nil where their fingerprints are equal.
    package func difference(from other: Tokenizer) -> TokenizerDifference? {
        let here = identityTokens, there = other.identityTokens
        for id in Set(here.keys).union(there.keys).sorted() where !Self.isSame(here[id], there[id]) {
            return .token(id, here: here[id], there: there[id])
        }
        let ours = rules, theirs = other.rules
        for index in 0..<max(ours.count, theirs.count) {
            let (here, there) = (
                index < ours.count ? ours[index] : nil, index < theirs.count ? theirs[index] : nil
            )
            if !Self.isSame(here, there) { return .rule(here: here, there: there) }
        }
        return nil
    }

    /// The first token of this tokenizer that `reader` has not, or has otherwise: with another id, or for another text.
    ///
    /// Nil: `reader` reads whatever is written with these tokens, by their ids. It may have more of them.
    package func firstToken(notIn reader: Tokenizer) -> TokenizerDifference? {
        for id in 0..<Int32(vocabularySize) {
            guard let here = token(id) else { continue }
            let there = reader.token(id)
            guard Self.isSame(here, there) else { return .token(id, here: here, there: there) }
            // Twice, because decoders may treat the first token of a text in their own ways, which says nothing of what
            // a token stands for.
            let (ours, theirs) = (decode([id, id]), reader.decode([id, id]))
            guard Self.ends(ours, with: theirs) || Self.ends(theirs, with: ours) else {
                return .text(id, here: decode([id]), there: reader.decode([id]))
            }
        }
        return nil
    }

    /// Ids that mean something to `reader` and nothing to this tokenizer, though a model may have rows for them.
    package func ids(knownOnlyTo reader: Tokenizer) -> Set<Int32> {
        Set((0..<Int32(reader.vocabularySize)).filter { reader.token($0) != nil && token($0) == nil })
    }

    /// The first token of a text that two tokenizers read differently; nil: they give the same ids.
    package func difference(
        from other: Tokenizer, reading text: String
    ) throws(TokenizerError) -> TokenizerDifference? {
        let here = try encode(text), there = try other.encode(text)
        guard here != there else { return nil }
        let place = zip(here, there).prefix { $0 == $1 }.count
        func read(_ ids: [Int32], _ tokenizer: Tokenizer) -> TokenizerDifference.ReadToken? {
            place < ids.count ? .init(id: ids[place], token: tokenizer.token(ids[place]) ?? "") : nil
        }
        return .reading(place, here: read(here, self), there: read(there, other))
    }

    /// The lines of the identity that are not tokens'.
    private var rules: [String] {
        var lines: [String] = []
        forEachIdentityLine(hasTokens: false) { lines.append($0) }
        return lines
    }

    /// Whether two texts have the same bytes; texts that are equal in Unicode's eyes need not.
    private static func isSame(_ a: String?, _ b: String?) -> Bool {
        guard let a, let b else { return a == nil && b == nil }
        return a.utf8.elementsEqual(b.utf8)
    }

    private static func ends(_ text: String, with end: String) -> Bool {
        text.utf8.count >= end.utf8.count && text.utf8.suffix(end.utf8.count).elementsEqual(end.utf8)
    }
}
