import Rules

/// The most probable tokens of rows, and the tail beside them.
extension ComputeContext {
    /// Rows whose logits are computed at once.
    private static let topRows = 64

    /// For each row of softmax(z) the log-probability of its target and of its `count` most probable tokens, of equally
    /// probable ones the first.
    ///
    /// x [T,C] A, head [V,C], targets [T]. A row's bits do not depend on its batch, and are those of ``headLogprobs``: so
    /// is the tail, which is summed up of its tokens. Logits are stored for a few rows at a time.
    /// - Parameters:
    ///   - count: at least 1.
    ///   - limit: ids below it may be listed; at least `count`, at most V.
    package func headTop(
        _ x: Tensor, head: PackedMatrix, rule: HeadRule = HeadRule(), targets: [Int32], count: Int, below limit: Int
    ) -> (logprobs: [Float], classes: HeadClasses) {
        precondition(count >= 1 && count <= limit && limit <= head.outputs, "headTop: \(count) of \(limit) tokens")
        precondition(targets.count == x.rows, "headTop: counts differ")
        var logprobs: [Float] = [], listed: [[Int32]] = [], classes: [Float] = []
        for start in stride(from: 0, to: x.rows, by: Self.topRows) {
            let rows = start..<min(start + Self.topRows, x.rows)
            let logits = scratch("head.top", rows: rows.count, columns: head.outputs)
            var lse: [Float] = []
            // Those of all tokens, until the listed ones are taken out.
            let tails = logitStatistics(
                x.rows(rows), head: head, rule: rule, inverseTemperature: [Float](repeating: 1, count: rows.count),
                into: logits, lse: &lse)
            for row in rows.indices {
                logprobs.append(logits.f32[(row - start) * head.outputs + Int(targets[row])] - lse[row - start])
            }
            var ids = [Int32](repeating: 0, count: rows.count * count)
            var values = [Float](repeating: 0, count: ids.count)
            ids.withUnsafeMutableBufferPointer { ids in
                values.withUnsafeMutableBufferPointer { values in
                    guard let ids = ids.baseAddress, let values = values.baseAddress else { return }
                    team.run(items: rows.count) { row, _ in
                        takeTop(
                            count, of: logits.f32 + row * head.outputs, row: row, head, below: limit, lse: lse[row],
                            tails, ids: ids + row * count, values: values + row * count)
                    }
                }
            }
            for row in 0..<rows.count {
                let own = row * count..<(row + 1) * count
                listed.append(Array(ids[own]))
                classes += values[own]
                classes.append(tails.tailLogprob(row: row, lse: lse[row]))
            }
        }
        var result = HeadClasses(rows: listed)
        result.logprobs = classes
        return (logprobs, result)
    }

    /// Takes the most probable tokens of a row out of its logits and of its statistics.
    /// - Parameters:
    ///   - statistics: of all tokens; of the others afterwards.
    ///   - ids, values: get the tokens, ascending, and their log-probabilities.
    private func takeTop(
        _ count: Int, of z: UnsafeMutablePointer<Float>, row: Int, _ head: PackedMatrix, below limit: Int, lse: Float,
        _ statistics: HeadStatistics, ids: UnsafeMutablePointer<Int32>, values: UnsafeMutablePointer<Float>
    ) {
        let first = row * head.panelCount
        let top = head.largest(count, of: z, below: limit, panelMaxima: statistics.maxima.f32 + first)
        for (place, id) in top.enumerated() {
            ids[place] = id
            values[place] = z[Int(id)] - lse
            z[Int(id)] = HeadClasses.nothing
        }
        // The other panels' are what they were.
        var measured = -1
        for id in top {
            let panel = Int(id) / head.panelWidth, columns = head.panelRange(panel)
            guard panel != measured else { continue }
            measured = panel
            statistics.measure(z + columns.lowerBound, columns.count, at: first + panel, self)
        }
    }
}

extension PackedMatrix {
    /// Ids of the largest logits of a row, ascending; of equal ones the first.
    ///
    /// Where logits are no numbers the first ids that are left make up the count.
    /// - Parameter panelMaxima: the largest of each panel, the columns from `limit` on included.
    func largest(
        _ count: Int, of z: UnsafeMutablePointer<Float>, below limit: Int, panelMaxima: UnsafeMutablePointer<Float>
    ) -> [Int32] {
        // As many panels as are wanted tokens have one at least as large as the smallest of their maxima.
        let whole = (0..<panelCount).filter { panelRange($0).upperBound <= limit }.map { panelMaxima[$0] }
        var floor = whole.count >= count ? whole.sorted(by: >)[count - 1] : -Float.infinity
        var found: [(value: Float, id: Int32)] = []
        func keepLargest() {
            guard found.count > count else { return }
            found.sort { ($1.value, $0.id) < ($0.value, $1.id) }
            found.removeLast(found.count - count)
            floor = max(floor, found[count - 1].value)
        }
        for panel in 0..<panelCount where panelMaxima[panel] >= floor {
            let columns = panelRange(panel)
            for column in columns.lowerBound..<max(columns.lowerBound, min(columns.upperBound, limit))
            where z[column] >= floor {
                found.append((z[column], Int32(column)))
            }
            if found.count >= 4 * count { keepLargest() }
        }
        keepLargest()
        var ids = Set(found.map(\.id))
        var next: Int32 = 0
        while ids.count < count {
            ids.insert(next)
            next += 1
        }
        return ids.sorted()
    }
}
