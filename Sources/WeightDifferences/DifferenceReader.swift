import Wire

/// Reads a difference's head and table, which come from elsewhere: every number is checked before it is used.
struct DifferenceReader {
    private let storage: any ByteStorage
    private var place = 0
    /// Where the table, or what comes before it, ends.
    private var limit: Int
    /// Where the next stream begins.
    private var streamPlace: Int

    init(_ storage: any ByteStorage) {
        self.storage = storage
        limit = storage.bytes.count
        streamPlace = limit
    }

    mutating func bytes(_ count: Int) throws(DifferenceError) -> [UInt8] {
        guard count <= limit - place else { throw DifferenceError("it ends in the middle of its head or table") }
        defer { place += count }
        return storage.withUnsafeBytes { Array($0[place..<place + count]) }
    }

    mutating func integer<Number: FixedWidthInteger>() throws(DifferenceError) -> Number {
        try bytes(MemoryLayout<Number>.size).reversed().reduce(0) { $0 << 8 | Number($1) }
    }

    /// The head is read; what follows is a table of so many bytes, and the streams.
    mutating func begin(tableOf count: Int) throws(DifferenceError) {
        guard count <= limit - place else { throw DifferenceError("its table ends behind it") }
        limit = place + count
        streamPlace = limit
    }

    /// The table's line of one block.
    mutating func block(
        of index: Int, _ segment: SnapshotSegment, _ range: Range<Int>
    ) throws(DifferenceError) -> DifferenceBlock {
        let elements = range.count / segment.width
        var block = DifferenceBlock(segment: index, width: segment.width, range: range)
        block.listed = Int(try integer() as UInt32)
        guard block.listed > 0 else { return block }
        guard block.listed <= elements else {
            throw DifferenceError("\(segment.name): \(block.listed) of \(elements) elements are listed")
        }
        block.gapByteCount = Int(try integer() as UInt32)
        guard (block.listed...elements).contains(block.gapByteCount) else {
            throw DifferenceError("\(segment.name): \(block.listed) gaps have \(block.gapByteCount) bytes")
        }
        for _ in 0...segment.width {
            let count = Int(try integer() as UInt32)
            guard count <= storage.bytes.count - streamPlace else {
                throw DifferenceError("\(segment.name): a stream ends behind the difference")
            }
            block.streams.append(streamPlace..<streamPlace + count)
            streamPlace += count
        }
        return block
    }

    /// Everything is read: nothing may be left.
    func end() throws(DifferenceError) {
        guard place == limit else { throw DifferenceError("its table has \(limit - place) bytes too many") }
        guard streamPlace == storage.bytes.count else {
            throw DifferenceError("it has \(storage.bytes.count - streamPlace) bytes too many")
        }
    }
}
