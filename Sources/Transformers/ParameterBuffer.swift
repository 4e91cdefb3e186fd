import Compute
import Models

/// A model's parameters in one buffer: masters, gradients, or a broadcast version.
package final class ParameterBuffer {
    package let layout: ParameterLayout
    private let storage: Tensor
    private let owner: AnyObject

    /// All zero.
    package init(layout: ParameterLayout) {
        self.layout = layout
        let memory = AlignedStorage(byteCount: layout.byteCount)
        owner = memory
        storage = Tensor(viewing: memory.base, rows: 1, columns: layout.byteCount / 4, type: .f32, owner: memory)
    }

    /// A view of memory that `owner` keeps alive, `layout.byteCount` bytes long.
    package init(layout: ParameterLayout, viewing bytes: UnsafeMutableRawPointer, owner: AnyObject) {
        self.layout = layout
        self.owner = owner
        storage = Tensor(viewing: bytes, rows: 1, columns: layout.byteCount / 4, type: .f32, owner: owner)
    }

    /// Reads every parameter of a model file as f32.
    /// - Throws: `ModelError` naming the tensor that is missing, misshapen or unreadable.
    package convenience init(reading files: ModelFiles) throws {
        self.init(layout: ParameterLayout(files.configuration, matrixType: .f32))
        try read(files)
    }

    /// Overwrites an f32 buffer with the parameters of a model file.
    /// - Throws: `ModelError` naming the tensor that is missing, misshapen or unreadable.
    package func read(_ files: ModelFiles) throws {
        for entry in layout.entries {
            let values = tensor(entry).f32
            try files.read(
                entry.spec.name, into: UnsafeMutableBufferPointer(start: values, count: entry.rows * entry.columns))
        }
    }

    /// The whole buffer as one row of f32; meaningful where `layout.matrixType` is f32.
    package var flat: Tensor { storage }

    package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: storage.bytes, count: layout.byteCount)
    }

    /// The view of one parameter: a matrix as stored, a vector as [1, n].
    package func tensor(_ entry: ParameterLayout.Entry) -> Tensor {
        Tensor(
            viewing: storage.bytes + entry.byteOffset, rows: entry.rows, columns: entry.columns, type: entry.type,
            owner: owner)
    }

    /// The f32 values of one parameter of an f32 layout, valid while the buffer lives.
    package func values(_ entry: ParameterLayout.Entry) -> UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: tensor(entry).f32, count: entry.rows * entry.columns)
    }

    package func tensor(_ name: String) -> Tensor? { layout[name].map(tensor) }

    /// One view over adjacent parameters: matrices stacked by rows, vectors joined.
    package func fused(_ names: [String]) -> Tensor? {
        guard let first = names.first, let start = layout[first] else { return nil }
        let parts = names.compactMap { layout[$0] }
        precondition(parts.count == names.count, "fused parameters exist together or not at all")
        let isVector = start.spec.shape.count == 1
        let rows = isVector ? 1 : parts.reduce(0) { $0 + $1.rows }
        let columns = isVector ? parts.reduce(0) { $0 + $1.columns } : start.columns
        return Tensor(
            viewing: storage.bytes + start.byteOffset, rows: rows, columns: columns, type: start.type,
            owner: owner)
    }

    /// Overwrites this buffer with `source`'s values, converting matrices to this layout's type (round to nearest even).
    package func copy(from source: ParameterBuffer, context: ComputeContext) {
        for (mine, theirs) in zip(layout.entries, source.layout.entries) {
            context.convert(from: source.tensor(theirs), to: tensor(mine))
        }
    }

    package func fill(_ value: Float) { storage.fill(value) }
}
