import CKernels
import Rules

/// The products of a batch's rows with a matrix's panels, chunk by chunk, each by what is fastest for its row count.
///
/// A panel's product is summed in f32 and then rounded or added once, so that a row's bits do not depend on the chunk
/// it is in.
package struct PanelProducts {
    /// Rows that are multiplied at once.
    let chunks: RowChunks

    private let input: Tensor
    private let matrix: PackedMatrix
    private let kernels: ck_kernels
    private let threads: Int
    /// One dense block of f32 a thread.
    private let blocks: Tensor
    /// oneDNN's products for the chunks' row counts, in the order in which these appear.
    private let plans: [(rows: Int, full: MatmulPlan, last: MatmulPlan)]
    /// The rows of the short chunks, arranged for ``FewRowsProduct``, which multiplies them; nil: it does not.
    private let arranged: UnsafeMutableRawPointer?
    private let arrangedStride: Int

    /// Products of x [T,K], of the matrix's type, with `matrix` [N,K].
    ///
    /// `user` names the scratch memory, which the next products with that name take over.
    package init(_ context: ComputeContext, _ x: Tensor, _ matrix: PackedMatrix, user: String) {
        self.matrix = matrix
        let input = context.widened(x, for: matrix, user: user)
        let chunks = RowChunks(rows: x.rows)
        self.input = input
        self.chunks = chunks
        kernels = context.kernels
        threads = context.team.threads
        let hasFewRows = matrix.layout.fewRows != nil && matrix.lastLayout.fewRows != nil
        arrangedStride =
            hasFewRows ? (FewRowsProduct.arrangedBytes(rows: RowChunks.short, depth: x.columns) + 63) / 64 * 64 : 0
        arranged = hasFewRows ? context.arrange(input, chunks, stride: arrangedStride, user: user) : nil
        // Tiles write where the product is wanted.
        let others = matrix.layout.isForTiles ? chunks[..<0] : hasFewRows ? chunks[..<chunks.longCount] : chunks[...]
        blocks = context.scratch(
            user + ".block", rows: others.isEmpty ? 0 : threads * RowChunks.longest, columns: matrix.panelWidth)
        var plans: [(rows: Int, full: MatmulPlan, last: MatmulPlan)] = []
        if matrix.layout.handle != nil {
            for chunk in others where !plans.contains(where: { $0.rows == chunk.count }) {
                plans.append(
                    (
                        chunk.count, context.plan(matrix.layout, type: matrix.storedType, m: chunk.count),
                        context.plan(matrix.lastLayout, type: matrix.storedType, m: chunk.count)
                    ))
            }
        }
        self.plans = plans
    }

    /// Into how many parts each of `panels` panels is cut, so that every thread gets as many where there are few: at most
    /// as many as it has blocks, and 1 where oneDNN multiplies, which takes whole panels.
    func parts(panels: Int) -> Int {
        let items = panels * chunks.count
        guard plans.isEmpty, items < 4 * threads else { return 1 }
        let even = (1...threads).first { items * $0 % threads == 0 } ?? 1
        return min(even, matrix.layout.blockCount)
    }

    /// y [rows of the chunk, width of the panel], row stride `rowStride`: written as `type`, or added to (then f32); of
    /// its columns only those of one part of the panel.
    package func run(
        chunk: Int, panel: Int, part index: Int = 0, of parts: Int = 1, thread: Int,
        into panelStart: UnsafeMutableRawPointer, type: ElementType, rowStride: Int, accumulate: Bool
    ) {
        let part = matrix.part(index, of: parts, panel: panel)
        if part.columns.isEmpty { return }
        let y = panelStart + part.columns.lowerBound * type.byteCount
        let rows = chunks[chunk].count
        let width = part.columns.count
        let x = input.bytes + chunks[chunk].lowerBound * input.columns * input.type.byteCount
        let weights = part.weights
        if matrix.layout.isForTiles {
            let next = partAfter(index, of: parts, panel: panel)
            ck_bf16_tiles_product(
                y, Self.store(type, accumulate), Int64(rowStride), x.assumingMemoryBound(to: UInt16.self),
                weights.assumingMemoryBound(to: UInt16.self), Int64(rows), Int64(matrix.inputs), Int64(width),
                next?.weights, Int64(next?.byteCount ?? 0))
            return
        }
        if let arranged, chunk >= chunks.longCount, let product = matrix.layout(ofPanel: panel).fewRows {
            let rowsInOrder = arranged + (chunk - chunks.longCount) * arrangedStride
            let next = partAfter(index, of: parts, panel: panel)
            ck_bf16_product(
                y, Self.store(type, accumulate), Int64(rowStride), rowsInOrder.assumingMemoryBound(to: UInt32.self),
                weights.assumingMemoryBound(to: UInt16.self), Int64(rows), Int64(matrix.inputs), Int64(width),
                product.part, next?.weights, Int64(next?.byteCount ?? 0))
            return
        }
        let isDirect = type == .f32 && !accumulate && (plans.isEmpty || rowStride == width)
        let block = isDirect ? y : blocks.bytes + thread * RowChunks.longest * matrix.panelWidth * 4
        if plans.isEmpty {
            kernels.panel_product(
                block.assumingMemoryBound(to: Float.self), Int64(isDirect ? rowStride : width),
                x.assumingMemoryBound(to: Float.self), weights, matrix.storedType.code,
                Int64(rows), Int64(matrix.inputs), Int64(width))
        } else {
            guard let plan = plans.first(where: { $0.rows == rows }) else {
                preconditionFailure("no plan for \(rows) rows")
            }
            (panel == matrix.panelCount - 1 ? plan.last : plan.full)
                .run(thread: thread, x, weights, block)
        }
        if !isDirect {
            kernels.store_block(
                y, type.code, Int64(rowStride), block.assumingMemoryBound(to: Float.self), Int64(width), Int64(rows),
                accumulate)
        }
    }

    private static func store(_ type: ElementType, _ accumulate: Bool) -> ck_bf16_store {
        type == .bf16 ? CK_BF16_NARROW : accumulate ? CK_BF16_ADD : CK_BF16_SET
    }

    /// What the thread that multiplies this part will most likely multiply next, to be fetched meanwhile.
    private func partAfter(_ index: Int, of parts: Int, panel: Int) -> PanelPart? {
        let next = panel * parts + index + threads
        guard next < matrix.panelCount * parts else { return nil }
        return matrix.part(next % parts, of: parts, panel: next / parts)
    }
}

extension ComputeContext {
    /// x in the type it is multiplied in.
    fileprivate func widened(_ x: Tensor, for w: PackedMatrix, user: String) -> Tensor {
        if x.type == w.operandType { return x }
        let wide = scratch(user + ".input", rows: x.rows, columns: x.columns)
        convert(from: x, to: wide)
        return wide
    }

    /// The rows of the short chunks of x, arranged for ``FewRowsProduct``, each chunk `stride` bytes after the one before.
    fileprivate func arrange(_ x: Tensor, _ chunks: RowChunks, stride: Int, user: String) -> UnsafeMutableRawPointer {
        let short = chunks[chunks.longCount...]
        let words = scratch(user + ".arranged", rows: (short.count * stride + 4095) / 4096, columns: 1024)
        for (index, chunk) in zip(0..., short) {
            FewRowsProduct.arrange(x.rows(chunk), into: words.bytes + index * stride)
        }
        return words.bytes
    }
}
