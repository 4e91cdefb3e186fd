import CKernels
import COneDNN

struct PlanKey: Hashable {
    enum Kind: Hashable {
        /// Against a packed panel.
        case packed
        /// dW += dyᵀ x against plain rows.
        case gradient
    }
    let kind: Kind
    let m: Int
    let n: Int
    let k: Int
    let type: ElementType
}

/// One compiled matmul.
final class MatmulPlan {
    let handle: OpaquePointer
    private let runtime: MatmulRuntime
    init?(_ runtime: MatmulRuntime, _ handle: OpaquePointer?) {
        guard let handle else { return nil }
        self.runtime = runtime
        self.handle = handle
    }
    deinit { od_plan_destroy(handle) }

    func run(
        thread: Int, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeMutableRawPointer
    ) {
        let status = od_plan_run(handle, Int32(thread), a, b, c)
        precondition(status == 0, "oneDNN matmul \(status)")
    }
}

extension ComputeContext {
    /// Rows in one matmul call. Whole chunks and remainders below 64 rows have plans of their own, so that a plan is
    /// compiled (0.4 ms) for at most 65 row counts a shape.
    static let rowChunk = 256
    static let remainderChunk = 64

    /// Splits 0 ..< rows into the row counts that have plans: 128s, at most one 64, and a rest.
    static func rowRanges(_ rows: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var at = 0
        while at < rows {
            let left = rows - at
            let size = left >= rowChunk ? rowChunk : left >= remainderChunk ? remainderChunk : left
            ranges.append(at..<at + size)
            at += size
        }
        return ranges
    }

    func plan(_ layout: PackedLayout, type: ElementType, m: Int) -> MatmulPlan {
        let key = PlanKey(kind: .packed, m: m, n: layout.outputs, k: layout.inputs, type: type)
        if let found = plans[key] { return found }
        // The layout came from the same library for the same shape: refusal would be a defect.
        guard let made = MatmulPlan(runtime, layout.handle.flatMap { od_plan_create(runtime.handle, $0, Int64(m)) })
        else {
            fatalError("oneDNN has no matmul \(m) x \(layout.outputs) x \(layout.inputs) \(type.rawValue)")
        }
        plans[key] = made
        return made
    }

    /// y[T,N] = x[T,K] Wᵀ, plus y when `accumulate` (then y is f32).
    ///
    /// x.type == w.type; y is f32 or w.type. A row's bits depend on that row and W alone.
    public func linear(_ x: Tensor, _ w: PackedMatrix, into y: Tensor, accumulate: Bool = false) {
        profile?.begin(.linear, flops: 2.0 * Double(x.rows * w.inputs * w.outputs))
        defer { profile?.end() }
        precondition(x.columns == w.inputs && y.columns == w.outputs && x.rows == y.rows, "linear: shapes differ")
        precondition(x.type == w.type, "linear: \(x.type.rawValue) rows, \(w.type.rawValue) weights")
        precondition(y.type == .f32 || (y.type == w.type && !accumulate), "linear: output type \(y.type.rawValue)")
        if x.rows == 0 { return }
        multiply(widened(x, for: w), w, panels: 0..<w.panelCount, into: y, accumulate: accumulate)
    }

    /// Only the output columns of one panel: y is [T, width of that panel], f32.
    public func linearPanel(_ x: Tensor, _ w: PackedMatrix, panel: Int, into y: Tensor) {
        profile?.begin(.linear, flops: 2.0 * Double(y.count * w.inputs))
        defer { profile?.end() }
        precondition(x.columns == w.inputs && x.rows == y.rows && x.type == w.type, "linearPanel: shapes differ")
        precondition(y.columns == w.panelRange(panel).count && y.type == .f32, "linearPanel: output")
        if x.rows == 0 { return }
        multiply(widened(x, for: w), w, panels: panel..<panel + 1, into: y, accumulate: false)
    }

    /// x in the type the packed panels are stored in.
    func widened(_ x: Tensor, for w: PackedMatrix) -> Tensor {
        if x.type == w.storedType { return x }
        let wide = scratch("linear.input", rows: x.rows, columns: x.columns)
        convert(from: x, to: wide)
        return wide
    }

    /// y's first column is that of panels.lowerBound.
    ///
    /// A panel's product is a dense block in f32; storing it narrows, or adds to y, so that both are one rounding of
    /// the same sum whatever the row count.
    func multiply(_ x: Tensor, _ w: PackedMatrix, panels: Range<Int>, into y: Tensor, accumulate: Bool) {
        let chunks = Self.rowRanges(x.rows)
        let plans = PanelPlans(self, w, chunks: chunks)
        let first = w.panelRange(panels.lowerBound).lowerBound
        let xRow = x.columns * x.type.byteCount
        let direct = panels.count == 1 && y.type == .f32 && !accumulate
        let blocks = scratch("linear.block", rows: team.threads * Self.rowChunk, columns: w.panelWidth)
        // Panel by panel, so that a panel is fetched once while the row chunks pass over it.
        team.run(items: chunks.count * panels.count) { item, thread in
            let panel = panels.lowerBound + item / chunks.count
            let rows = chunks[item % chunks.count]
            let columns = w.panelRange(panel)
            let from = x.bytes + rows.lowerBound * xRow
            let to = y.bytes + (rows.lowerBound * y.columns + columns.lowerBound - first) * y.type.byteCount
            if direct {
                plans.run(rows: rows.count, panel: panel, thread: thread, from, to)
                return
            }
            let block = blocks.f32 + thread * Self.rowChunk * w.panelWidth
            plans.run(rows: rows.count, panel: panel, thread: thread, from, block)
            kernels.store_block(
                to, y.type.code, Int64(y.columns), block, Int64(columns.count), Int64(rows.count), accumulate)
        }
    }
}

/// Plans of a matrix's panels for the row counts of one batch.
struct PanelPlans {
    private let matrix: PackedMatrix
    private let kernels: ck_kernels
    private let sizes: [Int]
    private let full: [MatmulPlan]
    private let last: [MatmulPlan]

    init(_ context: ComputeContext, _ matrix: PackedMatrix, chunks: [Range<Int>]) {
        self.matrix = matrix
        kernels = context.kernels
        var sizes: [Int] = []
        for chunk in chunks where !sizes.contains(chunk.count) { sizes.append(chunk.count) }
        self.sizes = sizes
        if context.usesOwnMatmul {
            (full, last) = ([], [])
            return
        }
        full = sizes.map { context.plan(matrix.layout, type: matrix.storedType, m: $0) }
        last = sizes.map { context.plan(matrix.lastLayout, type: matrix.storedType, m: $0) }
    }

    /// block [rows, width of the panel] f32, dense = x [rows, K] times the panel.
    func run(rows: Int, panel: Int, thread: Int, _ x: UnsafeRawPointer, _ block: UnsafeMutableRawPointer) {
        if full.isEmpty {
            kernels.panel_product(
                block.assumingMemoryBound(to: Float.self), x.assumingMemoryBound(to: Float.self),
                matrix.bytes(ofPanel: panel).assumingMemoryBound(to: Float.self), Int64(rows), Int64(matrix.inputs),
                Int64(matrix.panelRange(panel).count))
            return
        }
        guard let size = sizes.firstIndex(of: rows) else { preconditionFailure("no plan for \(rows) rows") }
        (panel == matrix.panelCount - 1 ? last : full)[size]
            .run(thread: thread, x, matrix.bytes(ofPanel: panel), block)
    }
}
