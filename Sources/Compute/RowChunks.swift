/// How rows are cut to be multiplied: 256 at a time, the last of these up to 319; what is less, 64 at a time.
///
/// Every row count has a compiled product of its own, which takes 0.4 ms to make, so there are few; and a small remainder
/// is not worth another pass over the weights.
package struct RowChunks: RandomAccessCollection {
    static let long = 256
    static let short = 64
    /// Most rows of a chunk.
    static let longest = long + short - 1

    /// Chunks of 256 rows and more, which come first.
    package let longCount: Int
    private let rows: Int
    private let longRows: Int

    package init(rows: Int) {
        self.rows = rows
        let whole = Swift.max(0, (rows - Self.longest + Self.long - 1) / Self.long)
        let endsLong = rows - whole * Self.long >= Self.long
        longCount = whole + (endsLong ? 1 : 0)
        longRows = endsLong ? rows : whole * Self.long
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { longCount + (rows - longRows + Self.short - 1) / Self.short }

    package subscript(index: Int) -> Range<Int> {
        if index < longCount {
            return index * Self.long..<(index == longCount - 1 ? longRows : (index + 1) * Self.long)
        }
        let start = longRows + (index - longCount) * Self.short
        return start..<Swift.min(rows, start + Self.short)
    }
}
