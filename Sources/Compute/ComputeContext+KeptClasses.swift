/// Classes of tokens that are chosen once the logits of all tokens are there: kept, as
/// ``ComputeContext/headLogprobs(_:head:rule:targets:inverseTemperature:logprobs:lse:entropy:best:keeping:classes:)`` keeps
/// them, panel by panel.
extension ComputeContext {
    /// The most probable tokens of each row, ascending; of equally probable ones the first.
    ///
    /// Where logits are no numbers the first tokens that are left make up the count.
    /// - Parameters:
    ///   - kept: logits [T,V] f32.
    ///   - count: at least 1, at most V.
    package func topTokens(of kept: Tensor, head: PackedMatrix, count: Int) -> [[Int32]] {
        precondition(count >= 1 && count <= head.outputs, "topTokens: \(count) of \(head.outputs) tokens")
        precondition(kept.columns == head.outputs && kept.type == .f32, "topTokens: kept logits")
        let rows = kept.rows
        let lines = scratch("head.line", rows: team.threads, columns: head.outputs)
        let maxima = scratch("head.line.max", rows: team.threads, columns: head.panelCount)
        var ids = [Int32](repeating: 0, count: rows * count)
        ids.withUnsafeMutableBufferPointer { ids in
            guard let ids = ids.baseAddress else { return }
            team.run(items: rows) { row, thread in
                let line = lines.f32 + thread * lines.columns, most = maxima.f32 + thread * maxima.columns
                for panel in 0..<head.panelCount {
                    let columns = head.panelRange(panel)
                    let part = kept.f32 + columns.lowerBound * rows + row * columns.count
                    (line + columns.lowerBound).update(from: part, count: columns.count)
                    var largest = -Float.infinity
                    for column in 0..<columns.count { largest = max(largest, part[column]) }
                    most[panel] = largest
                }
                let top = head.largest(count, of: line, below: head.outputs, panelMaxima: most)
                for (place, id) in top.enumerated() { ids[row * count + place] = id }
            }
        }
        return (0..<rows).map { Array(ids[$0 * count..<($0 + 1) * count]) }
    }

    /// The log-probabilities of classes, with the bits that a head gives which is asked about them at once.
    /// - Parameters:
    ///   - kept: logits [T,V] f32; as they were when this returns.
    ///   - logSumExp: of each row, as it came with the logits.
    ///   - classes: of T rows.
    package func classLogprobs(
        of kept: Tensor, head: PackedMatrix, logSumExp: [Float], classes: inout HeadClasses
    ) {
        let rows = kept.rows
        precondition(kept.columns == head.outputs && kept.type == .f32, "classLogprobs: kept logits")
        precondition(logSumExp.count == rows && classes.rowCount == rows, "classLogprobs: counts differ")
        guard rows > 0 else { return }
        let asked = classes
        let listed = ClassLogits(self, asked, rows: rows, head)
        let whole = HeadStatistics(self, rows: rows, panels: head.panelCount, weighted: false, user: "head.kept")
        let chunks = RowChunks(rows: rows)
        team.run(items: chunks.count * head.panelCount) { item, _ in
            let panel = item / chunks.count, range = chunks[item % chunks.count], columns = head.panelRange(panel)
            let z = kept.f32 + columns.lowerBound * rows + range.lowerBound * columns.count
            for row in range where asked.within(columns, row: row).isEmpty {
                whole.measure(
                    z + (row - range.lowerBound) * columns.count, columns.count, at: row * head.panelCount + panel,
                    self)
            }
            listed.take(panel, columns, range, z, whole)
        }
        classes.logprobs = listed.logprobs(logSumExp)
    }
}
