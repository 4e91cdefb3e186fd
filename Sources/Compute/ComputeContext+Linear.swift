import CKernels
import COneDNN
import Rules

struct PlanKey: Hashable {
    /// The right matrix is packed.
    let isPacked: Bool
    /// The product is added.
    let accumulates: Bool
    let m: Int
    let n: Int
    let k: Int
    let type: ElementType
}

/// One compiled matmul.
package final class MatmulPlan {
    let handle: OpaquePointer
    private let runtime: MatmulRuntime
    init?(_ runtime: MatmulRuntime, _ handle: OpaquePointer?) {
        guard let handle else { return nil }
        self.runtime = runtime
        self.handle = handle
    }
    deinit { od_plan_destroy(handle) }

    package func run(
        thread: Int, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeMutableRawPointer
    ) {
        let status = od_plan_run(handle, Int32(thread), a, b, c)
        precondition(status == 0, "oneDNN matmul \(status)")
    }
}

extension ComputeContext {
    /// m rows times a matrix in one of oneDNN's layouts.
    package func plan(_ layout: PackedLayout, type: ElementType, m: Int, accumulate: Bool = false) -> MatmulPlan {
        let key = PlanKey(
            isPacked: true, accumulates: accumulate, m: m, n: layout.outputs, k: layout.inputs, type: type)
        return plan(key) { [runtime] in
            layout.handle.flatMap { od_plan_create(runtime.handle, $0, Int64(m), accumulate) }
        }
    }

    /// m rows times a plain matrix [k,n].
    func plan(plain k: Int, by n: Int, type: ElementType, m: Int, accumulate: Bool) -> MatmulPlan {
        plan(PlanKey(isPacked: false, accumulates: accumulate, m: m, n: n, k: k, type: type)) { [runtime] in
            od_plan_create_plain(runtime.handle, Int64(m), Int64(n), Int64(k), type.code, accumulate)
        }
    }

    private func plan(_ key: PlanKey, make: () -> OpaquePointer?) -> MatmulPlan {
        if let found = plans[key] { return found }
        // A layout came from the same library for the same shape, and plain matrices are what every oneDNN takes:
        // refusal would be a defect.
        guard let made = MatmulPlan(runtime, make()) else {
            fatalError("oneDNN has no matmul \(key.m) x \(key.n) x \(key.k) \(key.type.rawValue)")
        }
        plans[key] = made
        return made
    }

    /// y[T,N] = x[T,K] Wᵀ, plus y when `accumulate` (then y is f32).
    ///
    /// x.type == w.type; y is f32 or w.type. A row's bits depend on that row and W alone.
    package func linear(_ x: Tensor, _ w: PackedMatrix, into y: Tensor, accumulate: Bool = false) {
        profile?.begin(.linear, flops: 2.0 * Double(x.rows * w.inputs * w.outputs))
        defer { profile?.end() }
        precondition(x.columns == w.inputs && y.columns == w.outputs && x.rows == y.rows, "linear: shapes differ")
        precondition(x.type == w.type, "linear: \(x.type.rawValue) rows, \(w.type.rawValue) weights")
        precondition(y.type == .f32 || (y.type == w.type && !accumulate), "linear: output type \(y.type.rawValue)")
        if x.rows == 0 { return }
        multiply(x, w, panels: 0..<w.panelCount, into: y, accumulate: accumulate)
    }

    /// The product's output columns of one panel alone: y is [T, width of that panel], f32.
    package func linearPanel(_ x: Tensor, _ w: PackedMatrix, panel: Int, into y: Tensor) {
        profile?.begin(.linear, flops: 2.0 * Double(y.count * w.inputs))
        defer { profile?.end() }
        precondition(x.columns == w.inputs && x.rows == y.rows && x.type == w.type, "linearPanel: shapes differ")
        precondition(y.columns == w.panelRange(panel).count && y.type == .f32, "linearPanel: output")
        if x.rows == 0 { return }
        multiply(x, w, panels: panel..<panel + 1, into: y, accumulate: false)
    }

    /// y's first column is that of panels.lowerBound.
    func multiply(_ x: Tensor, _ w: PackedMatrix, panels: Range<Int>, into y: Tensor, accumulate: Bool) {
        let products = PanelProducts(self, x, w, user: "linear")
        let first = w.panelRange(panels.lowerBound).lowerBound
        let parts = products.parts(panels: panels.count)
        // Panel by panel, so that a panel is fetched once while the row chunks pass over it.
        team.run(items: products.chunks.count * panels.count * parts) { item, thread in
            let (index, chunk) = item.quotientAndRemainder(dividingBy: products.chunks.count)
            let panel = panels.lowerBound + index / parts
            let row = products.chunks[chunk].lowerBound
            let at = row * y.columns + w.panelRange(panel).lowerBound - first
            products.run(
                chunk: chunk, panel: panel, part: index % parts, of: parts, thread: thread,
                into: y.bytes + at * y.type.byteCount, type: y.type, rowStride: y.columns, accumulate: accumulate)
        }
    }
}
