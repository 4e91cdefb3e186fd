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
struct MergeHeap {
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
