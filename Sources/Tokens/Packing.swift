/// Splits a batch into micro-batches whose token counts stay within a budget, in order.
package enum Packing {
    /// - Parameter tokenBudget: most tokens of a micro-batch; a longer sequence stands alone.
    package static func microBatches(tokenCounts: [Int], tokenBudget: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var start = 0, tokens = 0
        for (index, count) in tokenCounts.enumerated() {
            if index > start, tokens + count > tokenBudget {
                ranges.append(start..<index)
                start = index
                tokens = 0
            }
            tokens += count
        }
        if start < tokenCounts.count { ranges.append(start..<tokenCounts.count) }
        return ranges
    }
}
