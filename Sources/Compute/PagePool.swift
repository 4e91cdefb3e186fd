import CKernels
import Rules

/// Geometry of grouped-query attention.
package struct AttentionShape: Sendable, Equatable {
    package let heads: Int
    package let keyValueHeads: Int
    /// A multiple of 8, at most 256.
    package let headDimension: Int

    /// `heads` is a multiple of `keyValueHeads`.
    package init(heads: Int, keyValueHeads: Int, headDimension: Int) {
        precondition(heads > 0 && keyValueHeads > 0 && heads % keyValueHeads == 0, "heads do not divide")
        precondition(
            headDimension > 0 && headDimension % 8 == 0 && headDimension <= Int(CK_MAX_HEAD),
            "head dimension \(headDimension)")
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.headDimension = headDimension
    }

    /// Columns of q: heads times head dimension.
    package var queryColumns: Int { heads * headDimension }
    /// Columns of a row's keys, or of its values: key-value heads times head dimension.
    package var keyColumns: Int { keyValueHeads * headDimension }
    /// Columns of a fused row: queries, keys, values.
    package var fusedColumns: Int { (heads + 2 * keyValueHeads) * headDimension }
}

/// Cosines and sines of the rotary angles, [positions, rotaryDimension / 2] f32 each.
///
/// A factor on attention (yarn's and longrope's) is in both: what turns is multiplied by it.
package struct RopeTable {
    package let cos: Tensor
    package let sin: Tensor

    package init(cos: Tensor, sin: Tensor) {
        precondition(cos.rows == sin.rows && cos.columns == sin.columns, "rope tables differ in shape")
        precondition(cos.type == .f32 && sin.type == .f32, "rope tables are f32")
        self.cos = cos
        self.sin = sin
    }

    package var positions: Int { cos.rows }
    /// Leading elements of a head that turn, in pairs (i, i + rotaryDimension / 2); the others stay as they are.
    package var rotaryDimension: Int { 2 * cos.columns }
}

/// New tokens of one sequence: rows firstRow ..< firstRow + count at positions startPosition ..< startPosition + count.
package struct Segment: Sendable {
    package var firstRow: Int
    package var count: Int
    package var startPosition: Int
    /// Pages of the positions 0 ..< startPosition + count, 64 a page.
    package var pages: [Int32]
    /// Whether the rows, and all before them in the pages, are turned by the rotary embedding of long sequences, where a
    /// model has one of its own.
    package var isLong: Bool

    package init(firstRow: Int, count: Int, startPosition: Int, pages: [Int32], isLong: Bool = false) {
        self.firstRow = firstRow
        self.count = count
        self.startPosition = startPosition
        self.pages = pages
        self.isLong = isLong
    }

    package var rows: Range<Int> { firstRow..<firstRow + count }
}

/// Reference-counted pages of keys and values, 64 positions each, all layers together.
///
/// In a page, for each layer: K of each KV head as [headDimension][64], then V of each as [64][headDimension], the
/// latter's rows padded to 16 elements. Grows on demand. Belongs to one engine.
package final class PagePool {
    package static let pagePositions = Int(CK_PAGE)

    package let shape: AttentionShape
    package let layers: Int
    package let type: ElementType
    private let arena = StorageArena()
    private var pages: [AlignedStorage] = []
    private var addresses: [UnsafeMutableRawPointer?] = []
    private var references: [Int32] = []
    private var free: [Int32] = []

    /// `pageCount`: pages made now; more are made when needed.
    package init(shape: AttentionShape, layers: Int, type: ElementType, pageCount: Int) {
        self.shape = shape
        self.layers = layers
        self.type = type
        for _ in 0..<pageCount { free.append(makePage()) }
        free.reverse()
    }

    var valueStride: Int { (shape.headDimension + 15) / 16 * 16 }
    var keyBytes: Int { shape.headDimension * Self.pagePositions * type.byteCount }
    var valueBytes: Int { valueStride * Self.pagePositions * type.byteCount }
    var layerBytes: Int { shape.keyValueHeads * (keyBytes + valueBytes) }

    /// Bytes of one page.
    package var pageBytes: Int { layers * layerBytes }
    /// Pages that exist, in use or not.
    package var capacity: Int { pages.count }
    package var pagesInUse: Int { pages.count - free.count }

    private func makePage() -> Int32 {
        let page = arena.allocate(byteCount: pageBytes)
        pages.append(page)
        addresses.append(page.base)
        references.append(0)
        return Int32(pages.count - 1)
    }

    /// A page with one reference. Contents are unspecified.
    package func allocate() -> Int32 {
        let page = free.popLast() ?? makePage()
        references[Int(page)] = 1
        return page
    }

    /// Adds a reference.
    package func retain(_ page: Int32) {
        precondition(references[Int(page)] > 0, "page \(page) is free")
        references[Int(page)] += 1
    }

    /// Drops a reference; the page is free when none is left.
    package func release(_ page: Int32) {
        precondition(references[Int(page)] > 0, "page \(page) released twice")
        references[Int(page)] -= 1
        if references[Int(page)] == 0 { free.append(page) }
    }

    /// A new page with the same contents and one reference.
    package func copy(_ page: Int32) -> Int32 {
        let made = allocate()
        copy(from: page, to: made)
        return made
    }

    /// Overwrites one page with another's contents. The page may be shared already, by sequences that are yet to come.
    package func copy(from source: Int32, to destination: Int32) {
        precondition(references[Int(destination)] > 0, "page \(destination) is free")
        pages[Int(destination)].base.copyMemory(from: pages[Int(source)].base, byteCount: pageBytes)
    }

    /// The kernels' view of one layer, and the addresses of all pages. `owners` stay alive and unchanged meanwhile: the
    /// segments whose page numbers the kernels are given as pointers.
    func withKernelView(
        layer: Int, of owners: some Collection, rule: AttentionRule = AttentionRule(),
        _ body: (UnsafePointer<ck_attention_shape>, UnsafePointer<UnsafeMutableRawPointer?>) -> Void
    ) {
        precondition(layer >= 0 && layer < layers, "layer \(layer) of \(layers)")
        var view = ck_attention_shape(
            heads: Int32(shape.heads), kv_heads: Int32(shape.keyValueHeads),
            head_dim: Int32(shape.headDimension), v_stride: Int32(valueStride), type: type.code,
            k_bytes: Int64(keyBytes), v_bytes: Int64(valueBytes), k_offset: Int64(layer * layerBytes),
            v_offset: Int64(layer * layerBytes + shape.keyValueHeads * keyBytes), window: Int64(rule.window),
            scale: rule.scale ?? 1 / Float(shape.headDimension).squareRoot(), soft_cap: rule.softCap)
        withExtendedLifetime(owners) {
            addresses.withUnsafeBufferPointer { table in
                guard let table = table.baseAddress else { fatalError("attention over a pool without pages") }
                withUnsafePointer(to: &view) { body($0, table) }
            }
        }
    }
}
