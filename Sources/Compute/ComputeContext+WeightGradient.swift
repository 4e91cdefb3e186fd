import CKernels
import Rules

extension ComputeContext {
    /// About so many positions are reduced by one matmul call.
    static let gradientDepth = 1024
    /// Most outputs in a slice, whose gradients one thread computes at once.
    static let longestSlice = 192

    /// The same where slices change no bit, and may be shorter so that every thread has one.
    private func mostInSlice(of outputs: Int) -> Int {
        max(64, min(Self.longestSlice, outputs / team.threads))
    }

    /// dW[N,K] f32 = dyᵀ[N,T] x[T,K], plus dW when `accumulate`; dy and x of one type.
    ///
    /// Sums over T in chunks of about `gradientDepth` in order. Slices depend on N, and on the number of threads only where
    /// the package's own products compute every output alone: threads do not change the bits.
    package func weightGradient(dy: Tensor, x: Tensor, into dW: Tensor, accumulate: Bool = false) {
        profile?.begin(.weightGradient, flops: 2.0 * Double(dy.count * x.columns))
        defer { profile?.end() }
        precondition(dy.rows == x.rows && dW.rows == dy.columns && dW.columns == x.columns, "gradient: shapes differ")
        precondition(dy.type == x.type && dW.type == .f32, "gradient: types differ")
        guard x.rows > 0 else {
            if !accumulate { zero(dW) }
            return
        }
        if usesOwnMatmul {
            gradientByPanels(dy: dy, x: x, into: dW, accumulate: accumulate)
        } else {
            gradientByRows(dy: dy, x: x, into: dW, accumulate: accumulate)
        }
    }

    /// The gradient by products of dyᵀ, one row an output, with x: packed once where tiles or oneDNN take that, or plain,
    /// as oneDNN takes it on every CPU.
    package func gradientByRows(dy: Tensor, x: Tensor, into dW: Tensor, accumulate: Bool) {
        let element: ElementType = emulatesBF16 ? .f32 : dy.type
        let n = dy.columns, width = dW.columns
        // oneDNN's bits may depend on how many rows it multiplies.
        let size = Self.evenPart(of: n, most: usesTiles ? mostInSlice(of: n) : Self.longestSlice, multiple: 32)
        let slices = (n + size - 1) / size, lastSize = n - (slices - 1) * size
        let depth = Self.evenDepth(x.rows)
        for start in stride(from: 0, to: x.rows, by: depth) {
            let range = start..<min(start + depth, x.rows)
            // Few distinct depths, few compiled plans: padded with zeros.
            let padded = (range.count + 31) / 32 * 32
            // A slice of dyᵀ is multiplied while it is in the thread's cache. One piece of memory for all depths.
            let left = scratch("gradient.left", rows: team.threads * size * padded / 32, columns: 32, type: element)
                .reshaped(rows: team.threads * size, columns: padded)
            let layout = element == .bf16 ? layout(inputs: padded, outputs: width, type: element) : nil
            let packed = layout?.isBlockedForPairs == true ? layout : nil
            let right = packed == nil ? plain(x.rows(range), depth: padded, type: element) : packedPairs(x.rows(range))
            let adds = accumulate || start > 0
            func plan(_ rows: Int) -> MatmulPlan? {
                if usesTiles && packed != nil { return nil }
                return packed.map { self.plan($0, type: element, m: rows, accumulate: adds) }
                    ?? self.plan(plain: padded, by: width, type: element, m: rows, accumulate: adds)
            }
            let plans = (full: plan(size), last: plan(lastSize))
            team.run(items: slices) { slice, thread in
                let isLast = slice == slices - 1
                let count = isLast ? lastSize : size
                let rows = left.rows(thread * size..<thread * size + count)
                Self.transpose(dy.rows(range), from: slice * size, into: rows)
                let y = dW.f32 + slice * size * width
                if let plan = isLast ? plans.last : plans.full {
                    plan.run(thread: thread, rows.bytes, right.bytes, y)
                } else {
                    ck_bf16_tiles_product(
                        y, adds ? CK_BF16_ADD : CK_BF16_SET, Int64(width), rows.bf16, right.bf16, Int64(count),
                        Int64(padded), Int64(width), nil, 0)
                }
            }
        }
    }

    /// x as the right matrix [depth, columns], with zeros below it.
    private func plain(_ x: Tensor, depth: Int, type: ElementType) -> Tensor {
        if x.type == type && x.rows == depth { return x }
        let copy = scratch("gradient.right", rows: depth, columns: x.columns, type: type)
        convert(from: x, to: copy.rows(0..<x.rows))
        zero(copy.rows(x.rows..<depth))
        return copy
    }

    /// x bf16 as the right matrix in the layout of ckbf16.h, one row a block of 64 columns.
    private func packedPairs(_ x: Tensor) -> Tensor {
        let block = Int(CK_BF16_BLOCK), blocks = (x.columns + block - 1) / block
        let blockSize = PackedLayout.pairsByteCount(x.rows, block) / 2
        let packed = scratch("gradient.pairs", rows: blocks * blockSize / block, columns: block, type: .bf16)
            .reshaped(rows: blocks, columns: blockSize)
        team.run(items: packed.rows) { index, _ in
            let column = index * block
            ck_bf16_pack(
                packed.bf16 + index * packed.columns, x.bf16 + column, ElementType.bf16.code, Int64(x.columns), 1,
                Int64(x.rows), Int64(min(block, x.columns - column)))
        }
        return packed
    }

    /// Positions reduced by one call when there are `rows`: about `gradientDepth`, all calls alike, since each costs a
    /// pass over dW.
    private static func evenDepth(_ rows: Int) -> Int {
        let chunks = max(1, (rows + gradientDepth / 2) / gradientDepth)
        return (rows + chunks - 1) / chunks
    }

    /// The same by the package's own product: x packed as panels, dy widened and walked down its columns.
    func gradientByPanels(dy: Tensor, x: Tensor, into dW: Tensor, accumulate: Bool) {
        let n = dy.columns, width = x.columns, block = Int(kernels.block_columns)
        // A block of x and as many rows of dy stay in the first cache.
        let depth = 256
        // Rows are padded: at a stride of a power of two, a column would fall into few sets of the cache.
        let left = scratch("gradient.left", rows: depth, columns: n + 16)
        let right = scratch("gradient.panels", rows: (width + block - 1) / block, columns: depth * block, type: x.type)
        let size = Self.evenPart(of: n, most: mostInSlice(of: n), multiple: 6)
        for start in stride(from: 0, to: x.rows, by: depth) {
            let count = min(depth, x.rows - start)
            team.run(count: count, chunk: 32) { [kernels] range, _ in
                for row in range {
                    kernels.convert(
                        left.f32 + row * left.columns, ElementType.f32.code,
                        dy.bytes + (start + row) * n * dy.type.byteCount, dy.type.code, Int64(n))
                }
            }
            let from = x.bytes + start * width * x.type.byteCount
            team.run(items: right.rows) { [kernels] index, _ in
                let column = index * block
                kernels.pack_panel(
                    right.bytes + column * count * x.type.byteCount, x.type.code,
                    from + column * x.type.byteCount, x.type.code, Int64(width), 1, Int64(count),
                    Int64(min(block, width - column)))
            }
            team.run(items: (n + size - 1) / size) { [kernels] slice, _ in
                let row = slice * size
                kernels.panel_outer_product(
                    dW.f32 + row * dW.columns, Int64(dW.columns), left.f32 + row, Int64(left.columns), right.bytes,
                    x.type.code, Int64(min(size, n - row)), Int64(count), Int64(width), accumulate || start > 0)
            }
        }
    }

    /// destination [columns, positions] = columns of source [positions, N] from `column` on; zeros where source has no
    /// more positions. bf16 widens when destination is f32.
    private static func transpose(_ source: Tensor, from column: Int, into destination: Tensor) {
        let rows = source.rows, count = destination.rows, positions = destination.columns
        let from = source.bytes + column * source.type.byteCount
        if source.type == destination.type {
            ck_transpose(
                destination.bytes, Int64(positions), from, Int64(source.columns), Int64(rows), Int64(count),
                Int32(source.type.byteCount))
        } else {
            let to = destination.f32
            for row in 0..<rows {
                let bits = source.bf16 + row * source.columns + column
                for i in 0..<count { to[i * positions + row] = Float(bitPattern: UInt32(bits[i]) << 16) }
            }
        }
        let rest = (positions - rows) * destination.type.byteCount
        guard rest > 0 else { return }
        for i in 0..<count {
            (destination.bytes + (i * positions + rows) * destination.type.byteCount)
                .initializeMemory(as: UInt8.self, repeating: 0, count: rest)
        }
    }
}
