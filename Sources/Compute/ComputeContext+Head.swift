import CKernels
import Glibc
import Rules

/// The language-model head, walked one vocabulary panel at a time. z = rule(x Wᵀ) * inverseTemperature.
extension ComputeContext {
    /// Computes for each row t the log-sum-exp of z, z[targets[t]] minus it, and optionally the entropy of softmax(z).
    ///
    /// x [T,C] A, head [V,C]; arrays have T elements. A row's bits do not depend on its batch. T x V is not stored,
    /// unless the caller has the memory: `keeping` [T,V] f32 takes z for ``headBackward``, in an order of its own.
    /// `classes`, of T rows or none, get their log-probabilities: of their tail, what is summed up of its tokens. `best`
    /// gets each row's largest log-probability: that of a target which no token exceeds has the same bits.
    package func headLogprobs(
        _ x: Tensor, head: PackedMatrix, rule: HeadRule = HeadRule(), targets: [Int32], inverseTemperature: [Float],
        logprobs: inout [Float], lse: inout [Float], entropy: UnsafeMutablePointer<[Float]>? = nil,
        best: UnsafeMutablePointer<[Float]>? = nil, keeping kept: Tensor? = nil,
        classes: UnsafeMutablePointer<HeadClasses>? = nil
    ) {
        profile?.begin(.head, flops: 2.0 * Double(x.count * head.outputs))
        defer { profile?.end() }
        let rows = x.rows
        precondition(targets.count == rows && inverseTemperature.count == rows, "headLogprobs: counts differ")
        precondition(
            targets.allSatisfy { $0 >= 0 && Int($0) < head.outputs }, "headLogprobs: target outside the vocabulary")
        let targetLogits = scratch("head.target", rows: 1, columns: max(rows, 1)).f32
        let classLogits = classes.flatMap {
            $0.pointee.rowCount == 0 ? nil : ClassLogits(self, $0.pointee, rows: rows, head)
        }
        let statistics = headStatistics(
            x, head, rule, inverseTemperature, weighted: entropy != nil, keeping: kept,
            { panel, range, z, statistics in
                let columns = head.panelRange(panel)
                classLogits?.take(panel, columns, range, z, statistics)
                for row in range where columns.contains(Int(targets[row])) {
                    targetLogits[row] =
                        z[(row - range.lowerBound) * columns.count + Int(targets[row]) - columns.lowerBound]
                }
            })
        if logprobs.count != rows { logprobs = [Float](repeating: 0, count: rows) }
        if lse.count != rows { lse = [Float](repeating: 0, count: rows) }
        if let entropy, entropy.pointee.count != rows { entropy.pointee = [Float](repeating: 0, count: rows) }
        if let best, best.pointee.count != rows { best.pointee = [Float](repeating: 0, count: rows) }
        for row in 0..<rows {
            let (value, spread) = statistics.combine(row: row)
            lse[row] = value
            logprobs[row] = targetLogits[row] - value
            entropy?.pointee[row] = spread
            best?.pointee[row] = statistics.largest(row: row) - value
        }
        if let classLogits { classes?.pointee.logprobs = classLogits.logprobs(lse) }
    }

    /// Scaled logits z of a few rows, for sampling, and their log-sum-exp. x [B,C] A, logits [B,V] f32.
    ///
    /// z[b][token] - lse[b] has the bits of ``headLogprobs(_:head:rule:targets:inverseTemperature:logprobs:lse:entropy:best:keeping:classes:)``.
    /// panelMaxima, when given, [B, head.panelCount] f32: the largest z of each panel.
    package func headLogits(
        _ x: Tensor, head: PackedMatrix, rule: HeadRule = HeadRule(), inverseTemperature: [Float], into logits: Tensor,
        lse: inout [Float],
        panelMaxima: Tensor? = nil
    ) {
        let statistics = logitStatistics(
            x, head: head, rule: rule, inverseTemperature: inverseTemperature, into: logits, lse: &lse)
        if let panelMaxima, x.rows > 0 { convert(from: statistics.maxima, to: panelMaxima) }
    }

    /// ``headLogits(_:head:rule:inverseTemperature:into:lse:panelMaxima:)``, with the statistics of every row and panel,
    /// which are there until the next use of a head.
    func logitStatistics(
        _ x: Tensor, head: PackedMatrix, rule: HeadRule, inverseTemperature: [Float], into logits: Tensor,
        lse: inout [Float]
    ) -> HeadStatistics {
        profile?.begin(.head, flops: 2.0 * Double(x.count * head.outputs))
        defer { profile?.end() }
        precondition(logits.rows == x.rows && logits.columns == head.outputs && logits.type == .f32, "headLogits")
        precondition(inverseTemperature.count == x.rows && x.columns == head.inputs, "headLogits: counts differ")
        let statistics = headStatistics(
            x, head, rule, inverseTemperature, weighted: false, keeping: nil,
            { panel, rows, z, _ in
                let columns = head.panelRange(panel)
                kernels.store_block(
                    logits.f32 + rows.lowerBound * logits.columns + columns.lowerBound, logits.type.code,
                    Int64(logits.columns), z, Int64(columns.count), Int64(rows.count), false)
            })
        if lse.count != x.rows { lse = [Float](repeating: 0, count: x.rows) }
        for row in 0..<x.rows { lse[row] = statistics.combine(row: row).lse }
        return statistics
    }

    /// Per-panel statistics of all rows; `use` sees each scaled block before it is dropped, or kept.
    private func headStatistics(
        _ x: Tensor, _ head: PackedMatrix, _ rule: HeadRule, _ inverseTemperature: [Float], weighted: Bool,
        keeping kept: Tensor?,
        _ use: (_ panel: Int, _ rows: Range<Int>, _ z: UnsafeMutablePointer<Float>, _ of: HeadStatistics) -> Void
    ) -> HeadStatistics {
        precondition(x.columns == head.inputs && x.type == head.type, "head: shapes differ")
        let statistics = HeadStatistics(self, rows: x.rows, panels: head.panelCount, weighted: weighted)
        if x.rows == 0 { return statistics }
        let products = PanelProducts(self, x, head, user: "head")
        let logits = LogitBlocks(self, of: x, head, keeping: kept)
        let stride = Int64(head.panelCount)
        rule.scales(inverseTemperature).withUnsafeBufferPointer { scale in
            guard let scale = scale.baseAddress else { return }
            team.run(items: products.chunks.count * head.panelCount) { item, thread in
                let panel = item / products.chunks.count
                let chunk = item % products.chunks.count
                let rows = products.chunks[chunk]
                let columns = head.panelRange(panel).count
                let block = logits.block(columns: head.panelRange(panel), rows: rows, thread: thread)
                products.run(
                    chunk: chunk, panel: panel, thread: thread, into: block, type: .f32, rowStride: columns,
                    accumulate: false)
                if rule.softCap > 0 {
                    kernels.panel_cap(
                        block, Int64(columns), Int64(columns), rule.logitScale, rule.softCap, Int64(rows.count))
                }
                let at = rows.lowerBound * head.panelCount + panel
                kernels.panel_stats(
                    block, Int64(columns), Int64(columns), scale + rows.lowerBound, statistics.maxima.f32 + at,
                    statistics.sums.f32 + at, statistics.weighted.map { $0.f32 + at }, stride, Int64(rows.count))
                use(panel, rows, block, statistics)
            }
        }
        return statistics
    }
}

/// Where the logits of some rows and one panel lie, densely: in memory that keeps those of all panels, one after the
/// other, or in a block of the thread's own, until its next panel.
struct LogitBlocks {
    private let kept: Tensor?
    private let own: Tensor

    /// - Parameter kept: [T,V] f32 for the rows of x [T,C].
    init(_ context: ComputeContext, of x: Tensor, _ head: PackedMatrix, keeping kept: Tensor?) {
        if let kept {
            precondition(
                kept.rows == x.rows && kept.columns == head.outputs && kept.type == .f32, "head: kept logits")
        }
        self.kept = kept
        own = context.scratch(
            "head.logits", rows: kept == nil ? context.team.threads * RowChunks.longest : 0, columns: head.panelWidth)
    }

    /// - Parameter columns: of the panel.
    func block(columns: Range<Int>, rows: Range<Int>, thread: Int) -> UnsafeMutablePointer<Float> {
        kept.map { $0.f32 + columns.lowerBound * $0.rows + rows.lowerBound * columns.count }
            ?? own.f32 + thread * RowChunks.longest * own.columns
    }
}

/// Maximum, sum of exp(z - max) and sum of exp(z - max)(z - max), of each row and panel.
struct HeadStatistics {
    let maxima: Tensor
    let sums: Tensor
    let weighted: Tensor?

    init(_ context: ComputeContext, rows: Int, panels: Int, weighted: Bool, user: String = "head") {
        maxima = context.scratch(user + ".max", rows: rows, columns: panels)
        sums = context.scratch(user + ".sum", rows: rows, columns: panels)
        self.weighted = weighted ? context.scratch(user + ".weighted", rows: rows, columns: panels) : nil
    }

    /// M, the largest z of a row.
    func largest(row: Int) -> Float {
        let panels = maxima.columns
        return (0..<panels).reduce(-Float.infinity) { max($0, maxima.f32[row * panels + $1]) }
    }

    /// log-sum-exp = M + log S over panels in order; entropy = log S - (sum of exp(z - M)(z - M)) / S.
    func combine(row: Int) -> (lse: Float, entropy: Float) {
        let panels = maxima.columns
        let m = maxima.f32 + row * panels
        let s = sums.f32 + row * panels
        var top = m[0]
        for panel in 1..<max(panels, 1) where m[panel] > top { top = m[panel] }
        var sum = 0.0
        var spread = 0.0
        for panel in 0..<panels {
            let shift = Double(m[panel] - top)
            let factor = exp(shift)
            sum += Double(s[panel]) * factor
            if let weighted {
                let u = Double(weighted.f32[row * panels + panel])
                spread += (u + Double(s[panel]) * shift) * factor
            }
        }
        let logSum = log(sum)
        return (Float(Double(top) + logSum), Float(logSum - spread / sum))
    }
}
