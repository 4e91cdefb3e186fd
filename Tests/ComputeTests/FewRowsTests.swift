import CKernels
import COneDNN
import Compute
import Rules
import Testing

/// The package's own bf16 product and packing against oneDNN's, bit by bit. Where this CPU or oneDNN does not have them,
/// nothing may use them.
@Suite struct FewRowsTests {
    /// Widths with and without a rest of a block and of a vector; depths below, at and above oneDNN's parts.
    static let shapes = [(64, 64), (40, 34), (1, 2), (300, 576), (513, 1536), (130, 1000), (96, 2080)]

    static func layout(_ context: ComputeContext, _ shape: (outputs: Int, inputs: Int)) -> PackedLayout {
        context.panelLayout(inputs: shape.inputs, outputs: shape.outputs, type: .bf16)
    }

    @Test func isUsedWhereOneDNNsKernelIsTheOneItWasMadeFor() {
        let context = Backend.withoutTiles.context(threads: 1)
        guard ck_bf16_available(), !context.emulatesBF16 else {
            #expect(Self.layout(context, (64, 64)).fewRows == nil)
            return
        }
        let layout = Self.layout(context, (300, 576))
        // Another oneDNN may choose an implementation with another layout, and multiplies few rows itself then.
        guard let handle = layout.handle, String(cString: od_layout_implementation(handle)) == "brg:avx512_core_bf16"
        else { return }
        #expect(layout.isBlockedForPairs)
        #expect(layout.fewRows != nil)
    }

    @Test func productHasOneDNNsBits() {
        let context = Backend.withoutTiles.context(threads: 1)
        var random = Random(11)
        for shape in Self.shapes {
            let layout = Self.layout(context, shape)
            guard let product = layout.fewRows else { continue }
            let weights = random.tensor(shape.0, shape.1, .bf16)
            let packed = AlignedStorage(byteCount: layout.byteCount)
            layout.pack(
                weights.bytes, type: .bf16, inputStride: 1, outputStride: shape.1, thread: 0, into: packed.base,
                kernels: context.kernels)
            for rows in [1, 2, 5, 13, 14, 15, 16, 28, 29, 33, 64] {
                let x = random.tensor(rows, shape.1, .bf16)
                let want = Tensor(rows: rows, columns: shape.0)
                context.plan(layout, type: .bf16, m: rows).run(thread: 0, x.bytes, packed.base, want.bytes)
                let arranged = AlignedStorage(byteCount: FewRowsProduct.arrangedBytes(rows: rows, depth: shape.1))
                FewRowsProduct.arrange(x, into: arranged.base)
                func run(_ store: ck_bf16_store, into y: Tensor) {
                    ck_bf16_product(
                        y.bytes, store, Int64(y.columns), arranged.base.assumingMemoryBound(to: UInt32.self),
                        packed.base.assumingMemoryBound(to: UInt16.self), Int64(rows), Int64(shape.1), Int64(shape.0),
                        product.part, packed.base, Int64(layout.byteCount))
                }
                let y = Tensor(rows: rows, columns: shape.0)
                run(CK_BF16_SET, into: y)
                #expect(y.bits == want.bits, "\(shape), \(rows) rows")
                let narrow = Tensor(rows: rows, columns: shape.0, type: .bf16)
                run(CK_BF16_NARROW, into: narrow)
                #expect(narrow.bits == want.converted(to: .bf16).bits, "\(shape), \(rows) rows, narrowed")
                let start = random.tensor(rows, shape.0)
                let sum = start.copy()
                run(CK_BF16_ADD, into: sum)
                #expect(
                    sum.floats() == zip(start.floats(), want.floats()).map { $0 + $1 }, "\(shape), \(rows) rows, added")
            }
        }
    }

    @Test(arguments: ElementType.allCases, [false, true])
    func packingHasOneDNNsBytes(type: ElementType, transposed: Bool) {
        let context = Backend.withoutTiles.context(threads: 1)
        var random = Random(12)
        for shape in Self.shapes {
            let layout = Self.layout(context, shape)
            guard layout.isBlockedForPairs, let handle = layout.handle else { continue }
            let source = random.tensor(shape.0, shape.1, type)
            let strides = transposed ? (inputs: shape.0, outputs: 1) : (inputs: 1, outputs: shape.1)
            let ours = AlignedStorage(byteCount: layout.byteCount), theirs = AlignedStorage(byteCount: layout.byteCount)
            layout.pack(
                source.bytes, type: type, inputStride: strides.inputs, outputStride: strides.outputs, thread: 0,
                into: ours.base, kernels: context.kernels)
            let status = od_layout_pack(
                handle, 0, source.bytes, type.code, Int64(strides.inputs), Int64(strides.outputs), theirs.base)
            #expect(status == 0)
            func bytes(_ storage: AlignedStorage) -> [UInt8] {
                [UInt8](UnsafeRawBufferPointer(start: storage.base, count: layout.byteCount))
            }
            #expect(bytes(ours) == bytes(theirs), "\(shape)")
        }
    }

    /// The head keeps its rows arranged while the gradient's products arrange others.
    @Test(arguments: Backend.all) func productsOfTwoUsersDoNotMeet(backend: Backend) {
        let context = backend.context(threads: 2)
        var random = Random(13)
        let w = context.pack(random.tensor(300, 64), as: .bf16)
        let x = random.tensor(9, 64, .bf16), other = random.tensor(9, 64, .bf16)
        let products = PanelProducts(context, x, w, user: "first")
        let y = Tensor(rows: 9, columns: 300)
        context.linear(other, w, into: y)
        for panel in 0..<w.panelCount {
            products.run(
                chunk: 0, panel: panel, thread: 0, into: y.bytes + w.panelRange(panel).lowerBound * 4, type: .f32,
                rowStride: 300, accumulate: false)
        }
        let want = Tensor(rows: 9, columns: 300)
        context.linear(x, w, into: want)
        #expect(y.bits == want.bits)
    }
}
