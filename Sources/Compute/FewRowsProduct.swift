import CKernels

/// The package's own bf16 product for few rows: the time is that of reading the weights, which it does ahead. Used for
/// the short ones of ``RowChunks``: beyond, oneDNN is as fast.
///
/// It reads oneDNN's packed weights and gives oneDNN's bits, so that either may multiply: what is used for a layout was
/// compared with oneDNN on this machine first.
package struct FewRowsProduct {
    /// oneDNN adds up long sums in parts of so many products, each a chain of its own.
    package let part: Int64

    /// The product for a layout; nil where the instruction is missing, the layout is another, or the bits are.
    init?(_ layout: PackedLayout, context: ComputeContext) {
        guard layout.isBlockedForPairs, layout.inputs % 2 == 0 else { return nil }
        let rows = 3
        let x = Self.probe(rows: rows, columns: layout.inputs)
        let weights = Self.probe(rows: layout.outputs, columns: layout.inputs)
        let packed = AlignedStorage(byteCount: layout.byteCount)
        layout.pack(
            weights.bytes, type: .bf16, inputStride: 1, outputStride: layout.inputs, thread: 0, into: packed.base,
            kernels: context.kernels)
        let expected = Tensor(rows: rows, columns: layout.outputs)
        context.plan(layout, type: .bf16, m: rows).run(thread: 0, x.bytes, packed.base, expected.bytes)
        let arranged = AlignedStorage(byteCount: Self.arrangedBytes(rows: rows, depth: layout.inputs))
        Self.arrange(x, into: arranged.base)
        let found = [layout.inputs, 1024, 512, 2048, 256, 4096].first { (part: Int) in
            let y = Tensor(rows: rows, columns: layout.outputs)
            ck_bf16_product(
                y.bytes, CK_BF16_SET, Int64(y.columns), arranged.base.assumingMemoryBound(to: UInt32.self),
                packed.base.assumingMemoryBound(to: UInt16.self), Int64(rows), Int64(layout.inputs),
                Int64(layout.outputs), Int64(part), nil, 0)
            return (0..<y.count).allSatisfy { y.f32[$0].bitPattern == expected.f32[$0].bitPattern }
        }
        guard let found else { return nil }
        part = Int64(found)
    }

    /// Values of many magnitudes and both signs: another order of summation would round otherwise.
    private static func probe(rows: Int, columns: Int) -> Tensor {
        let values = Tensor(rows: rows, columns: columns, type: .bf16)
        let bits = values.bytes.assumingMemoryBound(to: UInt16.self)
        var state: UInt32 = 1
        for index in 0..<values.count {
            state = state &* 1_664_525 &+ 1_013_904_223
            bits[index] = UInt16(state >> 16) & 0x83ff | 0x3c00
        }
        return values
    }

    package static func arrangedBytes(rows: Int, depth: Int) -> Int {
        4 * Int(ck_bf16_arranged_words(Int64(rows), Int64(depth)))
    }

    /// Writes rows x in the order in which `ck_bf16_product` reads them.
    package static func arrange(_ x: Tensor, into arranged: UnsafeMutableRawPointer) {
        ck_bf16_arrange(
            arranged.assumingMemoryBound(to: UInt32.self), x.bytes.assumingMemoryBound(to: UInt16.self),
            Int64(x.rows), Int64(x.columns))
    }
}
