import CKernels

/// Low-rank adapters: what a matrix is with one, W + scale * B A.
extension ComputeContext {
    /// out = base + scale * B A. base and out [N,K], which may be one tensor, b [N,R], a [R,K], all f32.
    ///
    /// Sums over R in order, every operation rounded to f32: the same bits with any number of threads, on any CPU.
    package func addAdapter(base: Tensor, a: Tensor, b: Tensor, scale: Float, into out: Tensor) {
        profile?.begin(.packing)
        defer { profile?.end() }
        check(base, a, b, out)
        team.run(count: base.rows, chunk: 64) { rows, _ in
            addAdapter(base: base, a: a, b: b, scale: scale, rows: rows, into: out)
        }
    }

    /// The same on the calling thread, which may be any: it uses nothing of the context that ever changes.
    package func addAdapterAlone(base: Tensor, a: Tensor, b: Tensor, scale: Float, into out: Tensor) {
        check(base, a, b, out)
        addAdapter(base: base, a: a, b: b, scale: scale, rows: 0..<base.rows, into: out)
    }

    private func addAdapter(base: Tensor, a: Tensor, b: Tensor, scale: Float, rows: Range<Int>, into out: Tensor) {
        kernels.add_adapter(
            out.f32, base.f32, a.f32, b.f32, scale, Int64(base.columns), Int64(a.rows), Int64(rows.lowerBound),
            Int64(rows.upperBound))
    }

    private func check(_ base: Tensor, _ a: Tensor, _ b: Tensor, _ out: Tensor) {
        precondition(
            base.rows == b.rows && base.columns == a.columns && a.rows == b.columns && out.rows == base.rows
                && out.columns == base.columns, "addAdapter: shapes differ")
    }

    /// Columns `columns` of x [T,N] of any type, as f32 [T, columns.count].
    package func copyColumns(_ columns: Range<Int>, of x: Tensor, into y: Tensor) {
        profile?.begin(.conversion)
        defer { profile?.end() }
        precondition(
            columns.upperBound <= x.columns && y.columns == columns.count && y.rows == x.rows && y.type == .f32,
            "copyColumns: shapes differ")
        team.run(count: x.rows, chunk: Self.rowsPerItem) { [kernels] rows, _ in
            for row in rows {
                kernels.convert(
                    y.f32 + row * y.columns, y.type.code,
                    x.bytes + (row * x.columns + columns.lowerBound) * x.type.byteCount, x.type.code,
                    Int64(columns.count))
            }
        }
    }
}
