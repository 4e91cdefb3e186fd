/// Byte-pair encoding of words: of all neighbouring pairs the one with the lowest rank is joined, the leftmost first,
/// until no pair has a rank (Sennrich et al. 2016, as in the Hugging Face tokenizers library).
struct BytePairEncoder: Sendable {
    /// Id of the token of every single byte, -1 for bytes that the vocabulary lacks.
    private let byteIDs: [Int32]
    private let merges: MergeTable
    /// Whole words, for tokenizers that look them up first; empty for others.
    private let words: [[UInt8]: Int32]
    private let unknownID: Int32?
    private let fusesUnknown: Bool

    /// `ids`: the vocabulary by the UTF-8 of its tokens.
    init(_ definition: TokenizerDefinition, ids: [[UInt8]: Int32], file: String) throws(TokenizerError) {
        byteIDs = ByteAlphabet.letters.map { ids[Array(String($0).utf8)] ?? -1 }
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
        if definition.ignoresMerges {
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
        if word.count == 1 {
            let id = byteIDs[Int(word[0])]
            if id >= 0 { return result.append(id) }
        }
        var symbols: [Int32] = []
        symbols.reserveCapacity(word.count)
        var afterUnknown = false
        for byte in word {
            let id = byteIDs[Int(byte)]
            if id >= 0 {
                symbols.append(id)
                afterUnknown = false
            } else if let unknownID {
                if !(afterUnknown && fusesUnknown) { symbols.append(unknownID) }
                afterUnknown = true
            }
            // Without an unknown token a byte that the vocabulary lacks is left out, as Hugging Face does.
        }
        if symbols.count <= 24 { mergeScanning(&symbols) } else { mergeWithHeap(&symbols) }
        result.append(contentsOf: symbols)
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

/// Merges by their pair of ids: open addressing, so that the inner loop of encoding is one or two cache lines.
struct MergeTable: Sendable {
    struct Merge: Sendable {
        /// Position in the list of merges; `Int32.max` when the pair has none.
        var rank: Int32
        /// What the pair becomes.
        var id: Int32
    }

    private var keys: [UInt64]
    private var values: [Merge]
    private let mask: Int
    /// Drawn anew for every table: a file cannot choose ids that all fall on one slot.
    private let seed = UInt64.random(in: 0 ... .max)

    init(capacity: Int) {
        var size = 16
        while size < capacity * 2 { size *= 2 }
        keys = [UInt64](repeating: .max, count: size)
        values = [Merge](repeating: Merge(rank: .max, id: -1), count: size)
        mask = size - 1
    }

    private func slot(_ key: UInt64) -> Int {
        // Ids are 31 bits: no key is .max, the mark of an empty slot.
        var hash = (key ^ seed) &* 0x9E37_79B9_7F4A_7C15
        hash = (hash ^ hash >> 32) &* (seed | 1)
        var slot = Int(truncatingIfNeeded: hash >> 32) & mask
        while keys[slot] != key, keys[slot] != .max { slot = (slot + 1) & mask }
        return slot
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// A pair that is there already gets the new rank.
    mutating func insert(_ left: Int32, _ right: Int32, rank: Int32, id: Int32) {
        let key = Self.key(left, right)
        let slot = slot(key)
        keys[slot] = key
        values[slot] = Merge(rank: rank, id: id)
    }

    func find(_ left: Int32, _ right: Int32) -> Merge { values[slot(Self.key(left, right))] }
}

/// A binary heap of merges, lowest rank first, leftmost among equals.
private struct MergeHeap {
    struct Item {
        var rank: Int32
        var position: Int32
        var id: Int32

        static func < (a: Item, b: Item) -> Bool { (a.rank, a.position) < (b.rank, b.position) }
    }

    private var items: [Item] = []

    init(capacity: Int) { items.reserveCapacity(capacity) }

    mutating func push(_ item: Item) {
        items.append(item)
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard items[child] < items[parent] else { return }
            items.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Item? {
        guard let top = items.first else { return nil }
        let last = items.removeLast()
        guard !items.isEmpty else { return top }
        items[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < items.count else { return top }
            if child + 1 < items.count, items[child + 1] < items[child] { child += 1 }
            guard items[child] < items[parent] else { return top }
            items.swapAt(child, parent)
            parent = child
        }
    }
}
