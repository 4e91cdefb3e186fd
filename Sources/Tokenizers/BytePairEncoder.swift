/// Byte-pair encoding of words: of all neighbouring pairs the one with the lowest rank is joined, the leftmost first,
/// until no pair has a rank (Sennrich et al. 2016, as in the Hugging Face tokenizers library).
struct BytePairEncoder: Sendable {
    /// What a word is made of at first.
    private enum Alphabet: Sendable {
        /// Bytes, each written as a letter of the byte alphabet; the id of every byte, -1 for bytes that the vocabulary
        /// lacks.
        case bytes([Int32])
        /// Characters: ids of those of ASCII, -1 for missing ones, and of the others.
        case characters(ascii: [Int32], others: [Unicode.Scalar: Int32])
    }

    private let alphabet: Alphabet
    /// The ids of the tokens of all bytes (`<0x0A>`), -1 for missing ones; empty when characters do not fall back.
    private let fallbackIDs: [Int32]
    private let merges: MergeTable
    /// Whole words, for tokenizers that look them up first; empty for others.
    private let words: [[UInt8]: Int32]
    private let unknownID: Int32?
    private let fusesUnknown: Bool

    /// - Parameters:
    ///   - ids: the vocabulary by the UTF-8 of its tokens.
    ///   - takesBytes: words are bytes that stand for letters of the byte alphabet; else they are text.
    init(
        _ definition: TokenizerDefinition, ids: [[UInt8]: Int32], takesBytes: Bool, file: String
    ) throws(TokenizerError) {
        if takesBytes {
            alphabet = .bytes(ByteAlphabet.letters.map { ids[Array(String($0).utf8)] ?? -1 })
        } else {
            var ascii = [Int32](repeating: -1, count: 128)
            var others: [Unicode.Scalar: Int32] = [:]
            for entry in definition.vocabulary {
                var scalars = entry.token.unicodeScalars.makeIterator()
                guard let scalar = scalars.next(), scalars.next() == nil else { continue }
                if scalar.isASCII { ascii[Int(scalar.value)] = entry.id } else { others[scalar] = entry.id }
            }
            alphabet = .characters(ascii: ascii, others: others)
        }
        fallbackIDs =
            definition.fallsBackToBytes
            ? (0..<256).map { byte in
                let digits = String(byte, radix: 16, uppercase: true)
                return ids[Array("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8)] ?? -1
            } : []
        var table = MergeTable(capacity: definition.merges.count)
        for (rank, merge) in definition.merges.enumerated() {
            let left = Array(merge.left.utf8)
            let right = Array(merge.right.utf8)
            guard let leftID = ids[left], let rightID = ids[right], let id = ids[left + right] else {
                throw TokenizerError(
                    .malformed,
                    "\(file): merge \(rank), '\(merge.left) \(merge.right)', uses a token that the vocabulary lacks")
            }
            table.insert(leftID, rightID, rank: Int32(rank), id: id)
        }
        merges = table
        if definition.ignoresMerges, !takesBytes {
            words = ids
        } else if definition.ignoresMerges {
            var words: [[UInt8]: Int32] = [:]
            words.reserveCapacity(definition.vocabulary.count)
            for entry in definition.vocabulary {
                if let bytes = ByteAlphabet.bytes(of: entry.token) { words[bytes] = entry.id }
            }
            self.words = words
        } else {
            words = [:]
        }
        if let token = definition.unknownToken {
            guard let id = ids[Array(token.utf8)] ?? definition.addedTokens.first(where: { $0.content == token })?.id
            else {
                throw TokenizerError(.malformed, "\(file): unk_token '\(token)' is not in the vocabulary")
            }
            unknownID = id
        } else {
            unknownID = nil
        }
        fusesUnknown = definition.fusesUnknown
    }

    /// Appends the ids of one word.
    func encode(_ word: UnsafeBufferPointer<UInt8>, into result: inout [Int32]) {
        if !words.isEmpty, let id = words[Array(word)] { return result.append(id) }
        var symbols = SymbolList(unknownID: unknownID, fusesUnknown: fusesUnknown)
        switch alphabet {
        case .bytes(let ids):
            if word.count == 1 {
                let id = ids[Int(word[0])]
                if id >= 0 { return result.append(id) }
            }
            symbols.ids.reserveCapacity(word.count)
            for byte in word {
                let id = ids[Int(byte)]
                if id >= 0 { symbols.append(id) } else { symbols.appendUnknown() }
            }
        case .characters(let ascii, let others):
            symbols.ids.reserveCapacity(word.count)
            var decoder = UTF8()
            var iterator = word.makeIterator()
            while case .scalarValue(let scalar) = decoder.decode(&iterator) {
                if let id = scalar.isASCII ? ascii[Int(scalar.value)] : others[scalar], id >= 0 {
                    symbols.append(id)
                } else if !fallsBack(scalar, &symbols) {
                    symbols.appendUnknown()
                }
            }
        }
        symbols.flushUnknown()
        if symbols.ids.count <= 24 { mergeScanning(&symbols.ids) } else { mergeWithHeap(&symbols.ids) }
        result.append(contentsOf: symbols.ids)
    }

    /// Appends the tokens of a character's bytes, when the vocabulary has them all.
    private func fallsBack(_ scalar: Unicode.Scalar, _ symbols: inout SymbolList) -> Bool {
        guard !fallbackIDs.isEmpty, let bytes = UTF8.encode(scalar) else { return false }
        let ids = bytes.map { fallbackIDs[Int($0)] }
        guard ids.allSatisfy({ $0 >= 0 }) else { return false }
        // Not after an unknown token that waits: the library puts that one behind them.
        symbols.ids += ids
        return true
    }

    /// The symbols of a word before they are merged.
    private struct SymbolList {
        var ids: [Int32] = []
        let unknownID: Int32?
        let fusesUnknown: Bool
        private var unknownWaits = false

        init(unknownID: Int32?, fusesUnknown: Bool) {
            self.unknownID = unknownID
            self.fusesUnknown = fusesUnknown
        }

        mutating func append(_ id: Int32) {
            flushUnknown()
            ids.append(id)
        }

        /// Without an unknown token what the vocabulary lacks is left out, as Hugging Face does.
        mutating func appendUnknown() {
            guard unknownID != nil else { return }
            if !fusesUnknown { flushUnknown() }
            unknownWaits = true
        }

        mutating func flushUnknown() {
            guard unknownWaits, let unknownID else { return }
            ids.append(unknownID)
            unknownWaits = false
        }
    }

    /// Merges a short word: looks through all pairs for every merge.
    private func mergeScanning(_ symbols: inout [Int32]) {
        guard symbols.count > 1 else { return }
        // pairs[i] is the merge of symbols i and i + 1.
        var pairs = (1..<symbols.count).map { merges.find(symbols[$0 - 1], symbols[$0]) }
        while let best = pairs.indices.min(by: { pairs[$0].rank < pairs[$1].rank }), pairs[best].rank < .max {
            symbols[best] = pairs[best].id
            symbols.remove(at: best + 1)
            pairs.remove(at: best)
            if best > 0 { pairs[best - 1] = merges.find(symbols[best - 1], symbols[best]) }
            if best < pairs.count { pairs[best] = merges.find(symbols[best], symbols[best + 1]) }
        }
    }

    /// Merges a long word with a linked list of symbols and a heap of merges by rank and position, in n log n steps.
    private func mergeWithHeap(_ symbols: inout [Int32]) {
        let count = symbols.count
        var next = Array(1...count)
        var previous = Array(-1..<count - 1)
        var heap = MergeHeap(capacity: count)
        func push(_ position: Int) {
            guard next[position] < count else { return }
            let merge = merges.find(symbols[position], symbols[next[position]])
            if merge.rank < .max { heap.push(.init(rank: merge.rank, position: Int32(position), id: merge.id)) }
        }
        for position in 0..<count { push(position) }
        while let top = heap.pop() {
            let position = Int(top.position)
            // Outdated when either symbol has been joined with another since.
            guard symbols[position] >= 0, next[position] < count else { continue }
            let right = next[position]
            let merge = merges.find(symbols[position], symbols[right])
            guard merge.id == top.id, merge.rank == top.rank else { continue }
            symbols[position] = top.id
            symbols[right] = -1
            next[position] = next[right]
            if next[right] < count { previous[next[right]] = position }
            if previous[position] >= 0 { push(previous[position]) }
            push(position)
        }
        symbols.removeAll { $0 < 0 }
    }
}
