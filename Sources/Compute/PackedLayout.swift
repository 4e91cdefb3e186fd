import CKernels
import COneDNN
import Rules

struct LayoutKey: Hashable {
    let inputs: Int
    let outputs: Int
    let type: ElementType
}

/// A packed form of one panel shape, shared by every matrix with such panels.
package final class PackedLayout {
    enum Form {
        /// oneDNN's choice.
        case oneDNN(OpaquePointer)
        /// The package's own: blocks of so many outputs, [outputs / columns][inputs][columns].
        case columns(Int)
        /// The layout of ckbf16.h, for tiles: [outputs / 64][inputs / 2][64][2], inputs padded to a multiple of 32.
        case pairs
    }

    let form: Form
    package let byteCount: Int
    let inputs: Int
    let outputs: Int
    private let type: ElementType
    /// Where the element of input k and output n lies: at inputs[k] + outputs[n] elements. Nil when oneDNN's layout is
    /// not made of blocks.
    private(set) lazy var offsets = makeOffsets()
    /// Whether it is the layout of ckbf16.h, and this CPU has its kernels.
    package private(set) lazy var isBlockedForPairs = findWhetherBlockedForPairs()
    /// How few rows are multiplied; nil: as many are.
    package private(set) var fewRows: FewRowsProduct?
    private var knowsFewRows = false
    /// Outlives oneDNN's layout, which refers to its engine: a packed matrix may be released after its context.
    private let runtime: MatmulRuntime

    private init(_ form: Form, byteCount: Int, key: LayoutKey, runtime: MatmulRuntime) {
        self.form = form
        self.byteCount = byteCount
        self.runtime = runtime
        inputs = key.inputs
        outputs = key.outputs
        type = key.type
    }

    /// Asks oneDNN for its layout; nil when it refuses.
    static func oneDNN(_ key: LayoutKey, runtime: MatmulRuntime) -> PackedLayout? {
        od_layout_create(runtime.handle, Int64(key.inputs), Int64(key.outputs), key.type.code).map {
            PackedLayout(.oneDNN($0), byteCount: od_layout_size($0), key: key, runtime: runtime)
        }
    }

    static func columns(_ columns: Int, key: LayoutKey, runtime: MatmulRuntime) -> PackedLayout {
        PackedLayout(
            .columns(columns),
            byteCount: (key.outputs + columns - 1) / columns * columns * key.inputs * key.type.byteCount, key: key,
            runtime: runtime)
    }

    static func pairs(_ key: LayoutKey, runtime: MatmulRuntime) -> PackedLayout {
        PackedLayout(.pairs, byteCount: pairsByteCount(key.inputs, key.outputs), key: key, runtime: runtime)
    }

    /// oneDNN's layout, if it is one.
    package var handle: OpaquePointer? {
        if case .oneDNN(let handle) = form { handle } else { nil }
    }

    var isForTiles: Bool {
        if case .pairs = form { true } else { false }
    }

    private static let pairBlock = Int(CK_BF16_BLOCK)

    private static func padded(_ inputs: Int) -> Int { (inputs + 31) / 32 * 32 }

    /// Bytes of the layout of ckbf16.h.
    static func pairsByteCount(_ inputs: Int, _ outputs: Int) -> Int {
        (outputs + pairBlock - 1) / pairBlock * pairBlock * padded(inputs) * 2
    }

    /// What the package's own kernels multiply at once: outputs, and the bytes from one block to the next. A layout of
    /// oneDNN's that they cannot read is one block.
    var block: (columns: Int, byteCount: Int) {
        if case .columns(let columns) = form { return (columns, columns * inputs * type.byteCount) }
        return isBlockedForPairs
            ? (Self.pairBlock, Self.pairsByteCount(inputs, Self.pairBlock)) : (outputs, byteCount)
    }

    var blockCount: Int { (outputs + block.columns - 1) / block.columns }

    private var pairOffsets: (inputs: [Int64], outputs: [Int64]) {
        let block = Self.pairBlock
        return (
            (0..<inputs).map { Int64($0 / 2 * 2 * block + $0 % 2) },
            (0..<outputs).map { Int64($0 / block * block * Self.padded(inputs) + $0 % block * 2) }
        )
    }

    private func makeOffsets() -> (inputs: [Int64], outputs: [Int64])? {
        switch form {
        case .oneDNN(let handle):
            var k = [Int64](repeating: 0, count: inputs), n = [Int64](repeating: 0, count: outputs)
            return od_layout_offsets(handle, &k, &n) == 0 ? (k, n) : nil
        case .columns(let columns):
            return (
                (0..<inputs).map { Int64($0 * columns) },
                (0..<outputs).map { Int64($0 / columns * columns * inputs + $0 % columns) }
            )
        case .pairs:
            return pairOffsets
        }
    }

    private func findWhetherBlockedForPairs() -> Bool {
        switch form {
        case .pairs: return true
        case .columns: return false
        case .oneDNN:
            guard type == .bf16, ck_bf16_available(), byteCount == Self.pairsByteCount(inputs, outputs), let offsets
            else { return false }
            return offsets == pairOffsets
        }
    }

    /// Packs a panel whose element (k, n) is at source[k * inputStride + n * outputStride], one stride being 1.
    ///
    /// A layout of oneDNN's that is not blocked for pairs must have been prepared for these strides and type.
    package func pack(
        _ source: UnsafeRawPointer, type: ElementType, inputStride: Int, outputStride: Int, thread: Int,
        into packed: UnsafeMutableRawPointer, kernels: ck_kernels
    ) {
        if isBlockedForPairs {
            ck_bf16_pack(
                packed.assumingMemoryBound(to: UInt16.self), source, type.code, Int64(inputStride),
                Int64(outputStride), Int64(inputs), Int64(outputs))
        } else if let handle {
            let status = od_layout_pack(
                handle, Int32(thread), source, type.code, Int64(inputStride), Int64(outputStride), packed)
            precondition(status == 0, "oneDNN reorder \(status)")
        } else {
            kernels.pack_panel(
                packed, self.type.code, source, type.code, Int64(inputStride), Int64(outputStride), Int64(inputs),
                Int64(outputs))
        }
    }

    /// Finds out how few rows can be multiplied.
    func prepareFewRows(context: ComputeContext) {
        guard handle != nil, !knowsFewRows else { return }
        knowsFewRows = true
        fewRows = FewRowsProduct(self, context: context)
    }

    deinit { if let handle { od_layout_destroy(handle) } }
}
