import CKernels

/// The products of a batch's rows with a matrix's panels, chunk by chunk, each by what is fastest for its row count.
///
/// A panel's product is summed in f32 and then rounded or added once, so that a row's bits do not depend on the chunk
/// it is in.
struct PanelProducts {
    /// Rows that are multiplied at once.
    let chunks: [Range<Int>]

    private let input: Tensor
    private let matrix: PackedMatrix
    private let kernels: ck_kernels
    private let threads: Int
    /// One dense block of f32 a thread.
    private let blocks: Tensor
    private let sizes: [Int]
    private let full: [MatmulPlan]
    private let last: [MatmulPlan]
    /// The rows of each chunk that is multiplied by ``FewRowsProduct``, arranged for it; nil for others.
    private let arranged: [UnsafeMutablePointer<UInt32>?]

    /// Products of x [T,K], of the matrix's type, with `matrix` [N,K].
    ///
    /// `user` names the scratch memory, which the next products with that name take over.
    init(_ context: ComputeContext, _ x: Tensor, _ matrix: PackedMatrix, user: String) {
        self.matrix = matrix
        let input = context.widened(x, for: matrix, user: user)
        let chunks = ComputeContext.rowRanges(x.rows)
        self.input = input
        self.chunks = chunks
        kernels = context.kernels
        threads = context.team.threads
        let hasFewRows = matrix.layout.fewRows != nil && matrix.lastLayout.fewRows != nil
        func isFew(_ chunk: Range<Int>) -> Bool { hasFewRows && chunk.count <= FewRowsProduct.mostRows }
        arranged = context.arrange(input, chunks: chunks, user: user, where: isFew)
        var sizes: [Int] = []
        for chunk in chunks where !isFew(chunk) && !sizes.contains(chunk.count) { sizes.append(chunk.count) }
        self.sizes = sizes
        blocks = context.scratch(
            user + ".block", rows: sizes.isEmpty ? 0 : threads * ComputeContext.longestChunk,
            columns: matrix.panelWidth)
        if context.usesOwnMatmul {
            (full, last) = ([], [])
        } else {
            full = sizes.map { context.plan(matrix.layout, type: matrix.storedType, m: $0) }
            last = sizes.map { context.plan(matrix.lastLayout, type: matrix.storedType, m: $0) }
        }
    }

    /// y [rows of the chunk, width of the panel], row stride `rowStride`: written as `type`, or added to (then f32).
    func run(
        chunk: Int, panel: Int, thread: Int, into y: UnsafeMutableRawPointer, type: ElementType, rowStride: Int,
        accumulate: Bool
    ) {
        let rows = chunks[chunk].count
        let width = matrix.panelRange(panel).count
        if let rowsInOrder = arranged[chunk], let product = matrix.layout(ofPanel: panel).fewRows {
            // The thread that multiplies this panel will most likely multiply that one next.
            let next = panel + threads
            let isWanted = next < matrix.panelCount
            let store = type == .bf16 ? CK_BF16_NARROW : accumulate ? CK_BF16_ADD : CK_BF16_SET
            ck_bf16_product(
                y, store, Int64(rowStride), rowsInOrder,
                matrix.bytes(ofPanel: panel).assumingMemoryBound(to: UInt16.self), Int64(rows), Int64(matrix.inputs),
                Int64(width), product.part, isWanted ? matrix.bytes(ofPanel: next) : nil,
                isWanted ? Int64(matrix.layout(ofPanel: next).byteCount) : 0)
            return
        }
        let x = input.bytes + chunks[chunk].lowerBound * input.columns * input.type.byteCount
        let isDirect = type == .f32 && !accumulate && (full.isEmpty || rowStride == width)
        let block = isDirect ? y : blocks.bytes + thread * ComputeContext.longestChunk * matrix.panelWidth * 4
        if full.isEmpty {
            kernels.panel_product(
                block.assumingMemoryBound(to: Float.self), Int64(isDirect ? rowStride : width),
                x.assumingMemoryBound(to: Float.self), matrix.bytes(ofPanel: panel), matrix.storedType.code,
                Int64(rows), Int64(matrix.inputs), Int64(width))
        } else {
            guard let size = sizes.firstIndex(of: rows) else { preconditionFailure("no plan for \(rows) rows") }
            (panel == matrix.panelCount - 1 ? last : full)[size]
                .run(thread: thread, x, matrix.bytes(ofPanel: panel), block)
        }
        if !isDirect {
            kernels.store_block(
                y, type.code, Int64(rowStride), block.assumingMemoryBound(to: Float.self), Int64(width), Int64(rows),
                accumulate)
        }
    }
}

extension ComputeContext {
    /// Rows in one matmul call. Every row count has a plan of its own, which takes 0.4 ms to compile.
    static let rowChunk = 256
    static let remainderChunk = 64
    /// Most rows of a chunk: a small remainder is not worth another pass over the weights.
    static let longestChunk = rowChunk + remainderChunk - 1

    /// Splits 0 ..< rows into chunks: 256s, the last of them up to 319; or below that 64s and a rest.
    static func rowRanges(_ rows: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var at = 0
        while at < rows {
            let left = rows - at
            let size =
                left > longestChunk ? rowChunk : left >= rowChunk ? left : min(left, remainderChunk)
            ranges.append(at..<at + size)
            at += size
        }
        return ranges
    }

    /// x in the type it is multiplied in.
    fileprivate func widened(_ x: Tensor, for w: PackedMatrix, user: String) -> Tensor {
        if x.type == w.operandType { return x }
        let wide = scratch(user + ".input", rows: x.rows, columns: x.columns)
        convert(from: x, to: wide)
        return wide
    }

    /// The rows of the chunks of x for which `isFew` holds, arranged for ``FewRowsProduct``.
    fileprivate func arrange(
        _ x: Tensor, chunks: [Range<Int>], user: String, where isFew: (Range<Int>) -> Bool
    ) -> [UnsafeMutablePointer<UInt32>?] {
        var ends: [Int] = []
        for chunk in chunks {
            let bytes = isFew(chunk) ? FewRowsProduct.arrangedBytes(rows: chunk.count, depth: x.columns) : 0
            ends.append((ends.last ?? 0) + (bytes + 63) / 64 * 16)
        }
        guard let count = ends.last, count > 0 else { return chunks.map { _ in nil } }
        let words = scratch(user + ".arranged", rows: (count + 1023) / 1024, columns: 1024)
        return chunks.indices.map { index in
            guard isFew(chunks[index]) else { return nil }
            let to = words.bytes + (index == 0 ? 0 : ends[index - 1]) * 4
            FewRowsProduct.arrange(x.rows(chunks[index]), into: to)
            return to.assumingMemoryBound(to: UInt32.self)
        }
    }
}
