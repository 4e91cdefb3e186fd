import CKernels
import COneDNN

struct LayoutKey: Hashable {
    let inputs: Int
    let outputs: Int
    let type: ElementType
}

/// A packed form of one panel shape, shared by every matrix with such panels.
final class PackedLayout {
    /// oneDNN's layout; nil for the package's own.
    let handle: OpaquePointer?
    let byteCount: Int
    let inputs: Int
    let outputs: Int
    private let type: ElementType
    /// Columns in a block of the package's own layout; 0 for oneDNN's.
    private let blockColumns: Int
    /// Where the element of input k and output n lies: at inputs[k] + outputs[n] elements. Nil when oneDNN's layout is
    /// not made of blocks.
    private(set) lazy var offsets = makeOffsets()
    /// How few rows are multiplied; nil: as many are.
    private(set) var fewRows: FewRowsProduct?
    /// Outlives the handle, which refers to its engine: a packed matrix may be released after its context.
    private let runtime: MatmulRuntime

    init?(runtime: MatmulRuntime, key: LayoutKey) {
        guard
            let handle = od_layout_create(
                runtime.handle, Int64(key.inputs), Int64(key.outputs), key.type.code)
        else { return nil }
        self.handle = handle
        self.runtime = runtime
        byteCount = od_layout_size(handle)
        inputs = key.inputs
        outputs = key.outputs
        type = key.type
        blockColumns = 0
    }

    /// The package's own: blocks of `blockColumns` outputs.
    init(runtime: MatmulRuntime, key: LayoutKey, blockColumns: Int) {
        handle = nil
        self.runtime = runtime
        byteCount = (key.outputs + blockColumns - 1) / blockColumns * blockColumns * key.inputs * key.type.byteCount
        inputs = key.inputs
        outputs = key.outputs
        type = key.type
        self.blockColumns = blockColumns
    }

    private func makeOffsets() -> (inputs: [Int64], outputs: [Int64])? {
        guard let handle else {
            return (
                (0..<inputs).map { Int64($0 * blockColumns) },
                (0..<outputs).map { Int64($0 / blockColumns * blockColumns * inputs + $0 % blockColumns) }
            )
        }
        var k = [Int64](repeating: 0, count: inputs), n = [Int64](repeating: 0, count: outputs)
        return od_layout_offsets(handle, &k, &n) == 0 ? (k, n) : nil
    }

    /// Whether it is the layout of ckbf16.h, [outputs / 64][inputs / 2][64][2], and this CPU has its kernels.
    private(set) lazy var isBlockedForPairs = findWhetherBlockedForPairs()

    private func findWhetherBlockedForPairs() -> Bool {
        guard type == .bf16, ck_bf16_available() else { return false }
        let depth = (inputs + 31) / 32 * 32, block = Int(CK_BF16_BLOCK)
        guard handle != nil, let offsets, byteCount == (outputs + block - 1) / block * block * depth * 2 else {
            return false
        }
        return offsets.inputs.indices.allSatisfy { offsets.inputs[$0] == Int64($0 / 2 * 2 * block + $0 % 2) }
            && offsets.outputs.indices.allSatisfy {
                offsets.outputs[$0] == Int64($0 / block * block * depth + $0 % block * 2)
            }
    }

    /// Packs a panel whose element (k, n) is at source[k * inputStride + n * outputStride], one stride being 1.
    ///
    /// A layout of oneDNN's that is not blocked for pairs must have been prepared for these strides and type.
    func pack(
        _ source: UnsafeRawPointer, type: ElementType, inputStride: Int, outputStride: Int, thread: Int,
        into packed: UnsafeMutableRawPointer, kernels: ck_kernels
    ) {
        guard let handle else {
            kernels.pack_panel(
                packed, self.type.code, source, type.code, Int64(inputStride), Int64(outputStride), Int64(inputs),
                Int64(outputs))
            return
        }
        if isBlockedForPairs {
            ck_bf16_pack(
                packed.assumingMemoryBound(to: UInt16.self), source, type.code, Int64(inputStride),
                Int64(outputStride), Int64(inputs), Int64(outputs))
            return
        }
        let status = od_layout_pack(
            handle, Int32(thread), source, type.code, Int64(inputStride), Int64(outputStride), packed)
        precondition(status == 0, "oneDNN reorder \(status)")
    }

    /// Finds out how few rows can be multiplied.
    func prepareFewRows(context: ComputeContext) {
        fewRows = FewRowsProduct(self, context: context)
    }

    deinit { if let handle { od_layout_destroy(handle) } }
}

/// A matrix W [outputs, inputs] packed for y = x Wᵀ.
///
/// Cut into panels of consecutive outputs; the boundaries depend on the shape and type only. A panel is the unit of
/// work of one thread and the unit in which the vocabulary is walked. Belongs to the context that packed it.
public final class PackedMatrix {
    /// N, the columns of y.
    public let outputs: Int
    /// K, the columns of x.
    public let inputs: Int
    /// Type of x, and of the weights as rounded.
    public let type: ElementType
    /// Built from the transpose of the tensor it was packed from.
    public let transposed: Bool
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
    public var byteCount: Int { storage.byteCount }
    public var panelCount: Int { (outputs + panelWidth - 1) / panelWidth }

    /// Output columns of panel `index`.
    public func panelRange(_ index: Int) -> Range<Int> {
        index * panelWidth..<min(outputs, (index + 1) * panelWidth)
    }

    /// Whether ``ComputeContext/embed(ids:packed:into:)`` can read rows back out of it.
    public var hasReadableRows: Bool { layout.offsets != nil && lastLayout.offsets != nil }

    func layout(ofPanel index: Int) -> PackedLayout { index == panelCount - 1 ? lastLayout : layout }
    func bytes(ofPanel index: Int) -> UnsafeMutableRawPointer { storage.base + index * panelStride }
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
        if usesOwnMatmul {
            let own = PackedLayout(runtime: runtime, key: key, blockColumns: Int(kernels.block_columns))
            layouts[key] = own
            return own
        }
        // oneDNN packs any positive shape; only memory can be missing.
        guard let made = PackedLayout(runtime: runtime, key: key) else {
            fatalError("oneDNN cannot pack a \(outputs) x \(inputs) \(type.rawValue) matrix")
        }
        layouts[key] = made
        made.prepareFewRows(context: self)
        return made
    }

    /// Packs W [N,K] as `type` (bf16: round to nearest even).
    public func pack(_ w: Tensor, as type: ElementType) -> PackedMatrix { pack(w, as: type, transposed: false) }

    /// Packs W [N,K], or its transpose as a matrix of K outputs and N inputs, for dx = dy W.
    public func pack(_ w: Tensor, as type: ElementType, transposed: Bool) -> PackedMatrix {
        let outputs = transposed ? w.columns : w.rows
        let inputs = transposed ? w.rows : w.columns
        precondition(outputs > 0 && inputs > 0, "packing an empty matrix")
        let operand = emulatesBF16 ? .f32 : type
        let stored = usesOwnMatmul ? type : operand
        let width = Self.panelWidth(outputs: outputs)
        let last = outputs - (outputs - 1) / width * width
        let packed = PackedMatrix(
            outputs: outputs, inputs: inputs, type: type, transposed: transposed, panelWidth: width,
            storedType: stored, operandType: operand, layout: layout(inputs: inputs, outputs: width, type: stored),
            lastLayout: layout(inputs: inputs, outputs: last, type: stored), arena: arena)
        repack(w, into: packed)
        return packed
    }

    /// Packs new values of the same shape into `p`, in parallel, without allocating.
    public func repack(_ w: Tensor, into p: PackedMatrix) {
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
