import CKernels
import COneDNN

extension ComputeContext {
    /// About so many positions are reduced by one matmul call.
    static let gradientDepth = 1024

    /// dW[N,K] f32 = dyᵀ[N,T] x[T,K], plus dW when `accumulate`; dy and x of one type.
    ///
    /// Sums over T in chunks of about `gradientDepth` in order; slices depend on N alone, so thread counts do not change the bits.
    public func weightGradient(dy: Tensor, x: Tensor, into dW: Tensor, accumulate: Bool = false) {
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
        } else if usesTiles && dy.type == .bf16 {
            gradientByTiles(dy: dy, x: x, into: dW, accumulate: accumulate)
        } else {
            gradientByPlans(dy: dy, x: x, into: dW, accumulate: accumulate)
        }
    }

    /// The gradient by oneDNN's products of plain matrices, which it has on every CPU.
    func gradientByPlans(dy: Tensor, x: Tensor, into dW: Tensor, accumulate: Bool) {
        let element: ElementType = emulatesBF16 ? .f32 : dy.type
        let n = dy.columns
        let depth = Self.evenDepth(x.rows)
        for start in stride(from: 0, to: x.rows, by: depth) {
            let count = min(depth, x.rows - start)
            // Few distinct depths, few compiled plans: padded with zeros.
            let padded = (count + 31) / 32 * 32
            // dyᵀ, one row an output: oneDNN reads a plain left matrix faster than a transposed one.
            let left = scratch("gradient.left", rows: n, columns: padded, type: element)
            var right = x.rows(start..<start + count)
            if right.type != element || padded != count {
                let copy = scratch("gradient.right", rows: padded, columns: x.columns, type: element)
                convert(from: right, to: copy.rows(0..<count))
                zero(copy.rows(count..<padded))
                right = copy
            }
            transpose(dy.rows(start..<start + count), into: left)
            let size = Self.evenPart(of: n, most: 192, multiple: 16)
            let slices = (n + size - 1) / size
            let kind: PlanKey.Kind = accumulate || start > 0 ? .addedGradient : .gradient
            let full = gradientPlan(kind, m: size, k: padded, columns: x.columns, type: element)
            let last = gradientPlan(kind, m: n - (slices - 1) * size, k: padded, columns: x.columns, type: element)
            team.run(items: slices) { slice, thread in
                let row = slice * size
                (slice == slices - 1 ? last : full).run(
                    thread: thread, left.bytes + row * padded * element.byteCount, right.bytes,
                    dW.f32 + row * dW.columns)
            }
        }
    }

    /// The same by AMX tiles: x packed in blocks of 64 columns, dyᵀ one row an output.
    func gradientByTiles(dy: Tensor, x: Tensor, into dW: Tensor, accumulate: Bool) {
        let n = dy.columns, width = x.columns, block = Int(CK_BF16_BLOCK)
        let size = Self.evenPart(of: n, most: 192, multiple: 32)
        let depth = Self.evenDepth(x.rows)
        for start in stride(from: 0, to: x.rows, by: depth) {
            let count = min(depth, x.rows - start)
            let left = scratch("gradient.left", rows: n, columns: count, type: .bf16)
            transpose(dy.rows(start..<start + count), into: left)
            let blockBytes = PackedLayout.pairsByteCount(count, block)
            let right = scratch(
                "gradient.pairs", rows: (width + block - 1) / block, columns: blockBytes / 2, type: .bf16)
            let from = x.bytes + start * width * 2
            team.run(items: right.rows) { index, _ in
                let column = index * block
                ck_bf16_pack(
                    right.bf16 + index * right.columns, from + column * 2, ElementType.bf16.code, Int64(width), 1,
                    Int64(count), Int64(min(block, width - column)))
            }
            let store = accumulate || start > 0 ? CK_BF16_ADD : CK_BF16_SET
            team.run(items: (n + size - 1) / size) { slice, _ in
                let row = slice * size
                ck_bf16_tiles_product(
                    dW.f32 + row * width, store, Int64(width), left.bf16 + row * count, right.bf16,
                    Int64(min(size, n - row)), Int64(count), Int64(width), nil, 0)
            }
        }
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
        let size = Self.evenPart(of: n, most: 192, multiple: 6)
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

    private func gradientPlan(_ kind: PlanKey.Kind, m: Int, k: Int, columns: Int, type: ElementType) -> MatmulPlan {
        let key = PlanKey(kind: kind, m: m, n: columns, k: k, type: type)
        if let found = plans[key] { return found }
        let handle = od_plan_create_plain(
            runtime.handle, Int64(m), Int64(columns), Int64(k), type.code, kind == .addedGradient)
        // Plain strided matrices are what every oneDNN matmul takes.
        guard let made = MatmulPlan(runtime, handle) else {
            fatalError("oneDNN has no matmul \(m) x \(columns) x \(k) \(type.rawValue)")
        }
        plans[key] = made
        return made
    }

    /// dst [columns, dst.columns] = srcᵀ; positions past `rows` become zero. bf16 widens when dst is f32.
    private func transpose(_ source: Tensor, into dst: Tensor) {
        let size = Int64(dst.columns), rows = source.rows, stride = source.columns
        team.run(count: stride, chunk: 64) { range, _ in
            let to = dst.bytes + range.lowerBound * dst.columns * dst.type.byteCount
            let from = source.bytes + range.lowerBound * source.type.byteCount
            if source.type == dst.type {
                ck_transpose(
                    to, size, from, Int64(stride), Int64(rows), Int64(range.count), Int32(source.type.byteCount))
            } else {
                for row in 0..<rows {
                    for column in 0..<range.count {
                        let bits = UInt32(
                            (from + (row * stride + column) * 2).loadUnaligned(as: UInt16.self))
                        (to.assumingMemoryBound(to: Float.self))[column * dst.columns + row] = Float(
                            bitPattern: bits << 16)
                    }
                }
            }
            for column in range where rows < dst.columns {
                dst.rows(column..<column + 1).reshaped(rows: dst.columns, columns: 1)
                    .rows(rows..<dst.columns).fill(0)
            }
        }
    }
}
