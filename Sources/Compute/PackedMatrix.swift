import CKernels
import COneDNN
import Rules

/// A matrix W [outputs, inputs] packed for y = x Wᵀ.
///
/// Cut into panels of consecutive outputs; the boundaries depend on the shape and type only. A panel is the unit of
/// work of one thread and the unit in which the vocabulary is walked. Belongs to the context that packed it.
package final class PackedMatrix {
    /// N, the columns of y.
    package let outputs: Int
    /// K, the columns of x.
    package let inputs: Int
    /// Type of x, and of the weights as rounded.
    package let type: ElementType
    /// Built from the transpose of the tensor it was packed from.
    package let transposed: Bool
    let panelWidth: Int
    /// Type of the packed elements: f32 for a bf16 matrix that oneDNN multiplies in f32.
    let storedType: ElementType
    /// Type that x has when it is multiplied: f32 for a bf16 matrix where bf16 matmul is emulated.
    let operandType: ElementType
    let layout: PackedLayout
    let lastLayout: PackedLayout
    let storage: AlignedStorage
    private let panelStride: Int

    init(
        outputs: Int, inputs: Int, type: ElementType, transposed: Bool, panelWidth: Int, storedType: ElementType,
        operandType: ElementType, layout: PackedLayout, lastLayout: PackedLayout, arena: StorageArena
    ) {
        self.outputs = outputs
        self.inputs = inputs
        self.type = type
        self.transposed = transposed
        self.panelWidth = panelWidth
        self.storedType = storedType
        self.operandType = operandType
        self.layout = layout
        self.lastLayout = lastLayout
        panelStride = (layout.byteCount + 63) & ~63
        let panels = (outputs + panelWidth - 1) / panelWidth
        storage = arena.allocate(byteCount: panelStride * (panels - 1) + lastLayout.byteCount)
    }

    /// Bytes of packed memory.
    package var byteCount: Int { storage.byteCount }
    package var panelCount: Int { (outputs + panelWidth - 1) / panelWidth }

    /// Output columns of panel `index`.
    package func panelRange(_ index: Int) -> Range<Int> {
        index * panelWidth..<min(outputs, (index + 1) * panelWidth)
    }

    /// Whether ``ComputeContext/embed(ids:packed:into:)`` can read rows back out of it.
    package var hasReadableRows: Bool { layout.offsets != nil && lastLayout.offsets != nil }

    func layout(ofPanel index: Int) -> PackedLayout { index == panelCount - 1 ? lastLayout : layout }
    func bytes(ofPanel index: Int) -> UnsafeMutableRawPointer { storage.base + index * panelStride }

    /// One of `parts` parts of a panel: whole blocks, about as many in each, none where there are too few.
    func part(_ part: Int, of parts: Int, panel: Int) -> PanelPart {
        let layout = layout(ofPanel: panel), block = layout.block, blocks = layout.blockCount
        let from = part * blocks / parts, to = (part + 1) * blocks / parts
        return PanelPart(
            weights: bytes(ofPanel: panel) + from * block.byteCount,
            byteCount: (to - from) * block.byteCount,
            columns: from * block.columns..<min(layout.outputs, to * block.columns))
    }
}

/// Consecutive blocks of one panel.
struct PanelPart {
    let weights: UnsafeMutableRawPointer
    let byteCount: Int
    /// Counted from the panel's first.
    let columns: Range<Int>
}

extension ComputeContext {
    /// Columns in a panel of an [N,K] matrix. Small enough that a panel stays in a core's cache while row chunks pass
    /// over it; many in the head, whose panels are many anyway.
    static func panelWidth(outputs: Int) -> Int {
        outputs >= 8192 ? 512 : evenPart(of: outputs, most: 288, multiple: 32)
    }

    /// Size of the parts when `count` columns or rows are cut into an even number of parts, all of about one size, so
    /// that threads end together: a multiple of `multiple`, about `most` at most.
    static func evenPart(of count: Int, most: Int, multiple: Int) -> Int {
        guard count > 64 else { return count }
        let parts = 2 * ((count + 2 * most - 1) / (2 * most))
        return min(count, ((count + parts - 1) / parts + multiple - 1) / multiple * multiple)
    }

    func layout(inputs: Int, outputs: Int, type: ElementType) -> PackedLayout {
        let key = LayoutKey(inputs: inputs, outputs: outputs, type: type)
        if let found = layouts[key] { return found }
        let made = makeLayout(key)
        layouts[key] = made
        return made
    }

    /// The layout of a panel of weights, which few rows may be multiplied with, too.
    package func panelLayout(inputs: Int, outputs: Int, type: ElementType) -> PackedLayout {
        let found = layout(inputs: inputs, outputs: outputs, type: type)
        found.prepareFewRows(context: self)
        return found
    }

    private func makeLayout(_ key: LayoutKey) -> PackedLayout {
        if usesOwnMatmul { return .columns(Int(kernels.block_columns), key: key, runtime: runtime) }
        if usesTiles && key.type == .bf16 { return .pairs(key, runtime: runtime) }
        // oneDNN packs any positive shape; only memory can be missing.
        guard let made = PackedLayout.oneDNN(key, runtime: runtime) else {
            fatalError("oneDNN cannot pack a \(key.outputs) x \(key.inputs) \(key.type.rawValue) matrix")
        }
        return made
    }

    /// Packs W [N,K] as `type` (bf16: round to nearest even).
    package func pack(_ w: Tensor, as type: ElementType) -> PackedMatrix { pack(w, as: type, transposed: false) }

    /// Packs W [N,K], or its transpose as a matrix of K outputs and N inputs, for dx = dy W.
    package func pack(_ w: Tensor, as type: ElementType, transposed: Bool) -> PackedMatrix {
        let outputs = transposed ? w.columns : w.rows
        let inputs = transposed ? w.rows : w.columns
        precondition(outputs > 0 && inputs > 0, "packing an empty matrix")
        let operand = emulatesBF16 ? .f32 : type
        let stored = usesOwnMatmul ? type : operand
        let width = Self.panelWidth(outputs: outputs)
        let last = outputs - (outputs - 1) / width * width
        let packed = PackedMatrix(
            outputs: outputs, inputs: inputs, type: type, transposed: transposed, panelWidth: width,
            storedType: stored, operandType: operand, layout: panelLayout(inputs: inputs, outputs: width, type: stored),
            lastLayout: panelLayout(inputs: inputs, outputs: last, type: stored), arena: arena)
        repack(w, into: packed)
        return packed
    }

    /// Packs new values of the same shape into `p`, in parallel, without allocating.
    package func repack(_ w: Tensor, into p: PackedMatrix) {
        profile?.begin(.packing)
        defer { profile?.end() }
        precondition(
            (p.transposed ? w.columns : w.rows) == p.outputs && (p.transposed ? w.rows : w.columns) == p.inputs,
            "repacking \(w.rows) x \(w.columns) into \(p.outputs) x \(p.inputs)")
        var source = w
        if p.storedType != p.type {
            // Round as bf16 would, then pack as f32. f32 sources need the detour through bf16.
            let rounded = scratch("pack.rounded", rows: w.rows, columns: w.columns, type: .bf16)
            let wide = scratch("pack.wide", rows: w.rows, columns: w.columns)
            if w.type == .f32 { convert(from: w, to: rounded) }
            convert(from: w.type == .f32 ? rounded : w, to: wide)
            source = wide
        }
        let strideK = p.transposed ? source.columns : 1
        let strideN = p.transposed ? 1 : source.columns
        let layouts = p.layout === p.lastLayout ? [p.layout] : [p.layout, p.lastLayout]
        for layout in layouts where !layout.isBlockedForPairs {
            guard let handle = layout.handle else { continue }
            let status = od_layout_prepare_pack(handle, source.type.code, Int64(strideK), Int64(strideN))
            precondition(status == 0, "oneDNN reorder \(status)")
        }
        team.run(items: p.panelCount) { panel, thread in
            let start = source.bytes + p.panelRange(panel).lowerBound * strideN * source.type.byteCount
            p.layout(ofPanel: panel).pack(
                start, type: source.type, inputStride: strideK, outputStride: strideN, thread: thread,
                into: p.bytes(ofPanel: panel), kernels: kernels)
        }
    }
}
