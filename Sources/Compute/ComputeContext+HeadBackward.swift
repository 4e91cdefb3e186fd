import CKernels
import Rules

/// W [V,C] packed for dx = dz W, cut along the vocabulary into slabs that are walked in order.
package final class PackedHeadTranspose {
    /// Vocabulary columns in a slab: whole panels of the head.
    package static let slab = 2048
    package let vocabularySize: Int
    let slabs: [PackedMatrix]

    init(vocabularySize: Int, slabs: [PackedMatrix]) {
        self.vocabularySize = vocabularySize
        self.slabs = slabs
    }

    package var byteCount: Int { slabs.reduce(0) { $0 + $1.byteCount } }
}

extension ComputeContext {
    /// Packs the head W [V,C] for ``headBackward``.
    package func packHeadTranspose(_ w: Tensor, as type: ElementType) -> PackedHeadTranspose {
        let slabs = stride(from: 0, to: w.rows, by: PackedHeadTranspose.slab).map { start in
            pack(w.rows(start..<min(w.rows, start + PackedHeadTranspose.slab)), as: type, transposed: true)
        }
        return PackedHeadTranspose(vocabularySize: w.rows, slabs: slabs)
    }

    /// Packs new values of the same shape in place.
    package func repack(_ w: Tensor, into p: PackedHeadTranspose) {
        profile?.begin(.packing)
        defer { profile?.end() }
        precondition(w.rows == p.vocabularySize, "repacking \(w.rows) rows into \(p.vocabularySize)")
        for (index, slab) in p.slabs.enumerated() {
            let start = index * PackedHeadTranspose.slab
            repack(w.rows(start..<start + slab.inputs), into: slab)
        }
    }

    /// Gradient of the target log-probabilities: dL/d(rule(x Wᵀ)) = coefficient * (onehot - softmax(z)) *
    /// inverseTemperature, times the rule's slope.
    ///
    /// x [T,C] A; arrays have T elements; lse as headLogprobs gave it. dx [T,C] f32 is written, so is dW [V,C]
    /// f32 (nil: not wanted), or added to when `accumulate`. z is `kept`, as headLogprobs kept it, or else computed
    /// again slab by slab. `classes`, when given, are pulled beside the targets; so
    /// are all tokens by a `comparison`, which takes kept logits.
    package func headBackward(
        _ x: Tensor, head: PackedMatrix, transposed: PackedHeadTranspose, rule: HeadRule = HeadRule(),
        targets: [Int32], inverseTemperature: [Float], lse: [Float], coefficient: [Float], kept: Tensor? = nil,
        classes: HeadClassGradient? = nil, comparison: HeadComparison? = nil, dx: Tensor, dW: Tensor?,
        accumulate: Bool = false
    ) {
        let productCount = (kept == nil ? 1 : 0) + (dW == nil ? 1 : 2)
        profile?.begin(.headGradient, flops: 2.0 * Double(productCount * x.count * head.outputs))
        defer { profile?.end() }
        let rows = x.rows
        precondition(
            targets.count == rows && inverseTemperature.count == rows && lse.count == rows
                && coefficient.count == rows, "headBackward: counts differ")
        precondition(dx.rows == rows && dx.columns == x.columns && dx.type == .f32, "headBackward: dx")
        precondition(dW.map { $0.rows == head.outputs && $0.columns == x.columns } ?? true, "headBackward: dW")
        precondition(transposed.vocabularySize == head.outputs, "headBackward: transposed")
        dx.fill(0)
        if rows == 0 {
            if let dW, !accumulate { zero(dW) }
            return
        }
        let points = classes.map { HeadPoints($0, targets: targets, pull: coefficient) }
        let coefficient = points?.coefficient ?? coefficient
        precondition(comparison == nil || kept != nil && classes == nil, "headBackward: a comparison takes kept logits")
        // The points have the targets too.
        let targets = points == nil ? targets : [Int32](repeating: -1, count: rows)
        // Kept logits are scaled already.
        let scales = rule.scales(inverseTemperature)
        let scale = kept == nil ? scales : [Float](repeating: 1, count: rows)
        let slope = kept == nil ? coefficient : zip(coefficient, scales).map(*)
        let unit = rule.softCap > 0 ? scale.indices.map { scale[$0] / (scales[$0] * rule.softCap) } : []
        let products = kept == nil ? PanelProducts(self, x, head, user: "head") : nil
        let compared = comparison.map {
            HeadComparisonRows(
                $0, logSumExp: lse, own: coefficient, scales: scales, units: unit, targets: targets, in: self)
        }
        let chunks = RowChunks(rows: rows)
        let logits = LogitBlocks(self, of: x, head, keeping: kept)
        for (index, slab) in transposed.slabs.enumerated() {
            let columns = index * PackedHeadTranspose.slab..<index * PackedHeadTranspose.slab + slab.inputs
            let dz = scratch("head.dz", rows: rows, columns: columns.count, type: x.type)
            let first = columns.lowerBound / head.panelWidth
            let count = (columns.count + head.panelWidth - 1) / head.panelWidth
            team.run(items: chunks.count * count) { item, thread in
                let panel = first + item / chunks.count
                let chunk = item % chunks.count
                let range = chunks[chunk]
                let panelColumns = head.panelRange(panel)
                let block = logits.block(columns: panelColumns, rows: range, thread: thread)
                products?.run(
                    chunk: chunk, panel: panel, thread: thread, into: block, type: .f32,
                    rowStride: panelColumns.count, accumulate: false)
                if products != nil && rule.softCap > 0 {
                    kernels.panel_cap(
                        block, Int64(panelColumns.count), Int64(panelColumns.count), rule.logitScale, rule.softCap,
                        Int64(range.count))
                }
                let at = range.lowerBound * columns.count + panelColumns.lowerBound - columns.lowerBound
                if let compared {
                    return compared.write(
                        range, of: panelColumns, student: block, into: dz.bytes + at * x.type.byteCount, type: x.type,
                        rowStride: columns.count, factor: rule.logitScale, self)
                }
                withRows(range.lowerBound, scale, lse, slope, targets) { scale, lse, slope, targets in
                    if rule.softCap > 0 {
                        kernels.panel_gradient_capped(
                            dz.bytes + at * x.type.byteCount, x.type.code, Int64(columns.count), block,
                            Int64(panelColumns.count), Int64(panelColumns.count), scale, lse, slope, targets,
                            Int32(panelColumns.lowerBound), Int64(range.count), rule.logitScale,
                            Array(unit[range]))
                        return
                    }
                    kernels.panel_gradient(
                        dz.bytes + at * x.type.byteCount, x.type.code, Int64(columns.count), block,
                        Int64(panelColumns.count), Int64(panelColumns.count), scale, lse, slope, targets,
                        Int32(panelColumns.lowerBound), Int64(range.count))
                }
                points?.write(range, of: panelColumns) { row, ids, values, count in
                    let line = row - range.lowerBound
                    kernels.panel_points(
                        dz.bytes + (at + line * columns.count) * x.type.byteCount, x.type.code,
                        block + line * panelColumns.count, ids, values, Int64(count), Int32(panelColumns.lowerBound),
                        scales[row], rule.logitScale, unit.isEmpty ? 0 : unit[row])
                }
            }
            linear(dz, slab, into: dx, accumulate: true)
            if let dW { weightGradient(dy: dz, x: x, into: dW.rows(columns), accumulate: accumulate) }
        }
    }

    private func withRows(
        _ row: Int, _ a: [Float], _ b: [Float], _ c: [Float], _ d: [Int32],
        _ body: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Int32>) -> Void
    ) {
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                c.withUnsafeBufferPointer { c in
                    d.withUnsafeBufferPointer { d in
                        if let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress, let d = d.baseAddress {
                            body(a + row, b + row, c + row, d + row)
                        }
                    }
                }
            }
        }
    }
}
