import COneDNN

struct PlanKey: Hashable {
    enum Kind: Hashable {
        /// Against a packed panel.
        case packed
        /// dW += dyᵀ x: A read with these strides, B plain.
        case gradient(strideM: Int, strideK: Int)
    }
    let kind: Kind
    let m: Int
    let n: Int
    let k: Int
    let type: ElementType
    let output: ElementType
    let lda: Int
    let ldc: Int
    let accumulate: Bool
}

/// One compiled matmul.
final class MatmulPlan {
    let handle: OpaquePointer
    init?(_ handle: OpaquePointer?) {
        guard let handle else { return nil }
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
    static let rowChunk = 128
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

    func plan(_ layout: PackedLayout, type: ElementType, m: Int, ldc: Int, output: ElementType, accumulate: Bool)
        -> MatmulPlan
    {
        let key = PlanKey(
            kind: .packed, m: m, n: layout.outputs, k: layout.inputs, type: type, output: output, lda: layout.inputs,
            ldc: ldc, accumulate: accumulate)
        if let found = plans[key] { return found }
        let handle = od_plan_create(
            runtime, layout.handle, Int64(m), Int64(layout.inputs), Int64(ldc), output.code, accumulate ? 1 : 0)
        // The layout came from the same library for the same shape: refusal would be a defect.
        guard let made = MatmulPlan(handle) else {
            fatalError("oneDNN has no matmul \(m) x \(layout.outputs) x \(layout.inputs) \(type.rawValue)")
        }
        plans[key] = made
        return made
    }

    /// y[T,N] = x[T,K] Wᵀ, plus y when `accumulate` (then y is f32).
    ///
    /// x.type == w.type; y is f32 or w.type. A row's bits depend on that row and W alone.
    public func linear(_ x: Tensor, _ w: PackedMatrix, into y: Tensor, accumulate: Bool = false) {
        precondition(x.columns == w.inputs && y.columns == w.outputs && x.rows == y.rows, "linear: shapes differ")
        precondition(x.type == w.type, "linear: \(x.type.rawValue) rows, \(w.type.rawValue) weights")
        precondition(y.type == .f32 || (y.type == w.type && !accumulate), "linear: output type \(y.type.rawValue)")
        if x.rows == 0 { return }
        let input = widened(x, for: w)
        guard y.type == .bf16 && w.storedType == .f32 else {
            multiply(input, w, panels: 0..<w.panelCount, into: y, accumulate: accumulate)
            return
        }
        let wide = scratch("linear.output", rows: y.rows, columns: y.columns)
        multiply(input, w, panels: 0..<w.panelCount, into: wide, accumulate: false)
        convert(from: wide, to: y)
    }

    /// Only the output columns of one panel: y is [T, width of that panel], f32.
    public func linearPanel(_ x: Tensor, _ w: PackedMatrix, panel: Int, into y: Tensor) {
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
    func multiply(_ x: Tensor, _ w: PackedMatrix, panels: Range<Int>, into y: Tensor, accumulate: Bool) {
        let chunks = Self.rowRanges(x.rows)
        let sizes = Array(Set(chunks.map(\.count)))
        var byLayout: [[MatmulPlan]] = []
        for layout in [w.layout, w.lastLayout] {
            byLayout.append(
                sizes.map {
                    plan(
                        layout, type: w.storedType, m: $0, ldc: y.columns, output: y.type, accumulate: accumulate)
                })
        }
        let first = w.panelRange(panels.lowerBound).lowerBound
        let xRow = x.columns * x.type.byteCount
        // Panel by panel, so that a panel is fetched once while the row chunks pass over it.
        team.run(items: chunks.count * panels.count) { item, thread in
            let panel = panels.lowerBound + item / chunks.count
            let rows = chunks[item % chunks.count]
            guard let size = sizes.firstIndex(of: rows.count) else { return }
            let plan = byLayout[panel == w.panelCount - 1 ? 1 : 0][size]
            let column = w.panelRange(panel).lowerBound - first
            plan.run(
                thread: thread, x.bytes + rows.lowerBound * xRow, w.bytes(ofPanel: panel),
                y.bytes + (rows.lowerBound * y.columns + column) * y.type.byteCount)
        }
    }
}
