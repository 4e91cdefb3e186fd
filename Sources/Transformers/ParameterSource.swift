import Compute
import Models
import Rules

/// Where weights that are to be packed come from: a buffer, or a model's files.
protocol ParameterSource {
    associatedtype Failure: Error
    /// One view over parameters that a matrix product uses together: matrices stacked by rows, vectors joined. Nil when
    /// the model has none of these names. Valid until the next call.
    func fused(_ names: [String]) throws(Failure) -> Tensor?
}

extension ParameterSource {
    func tensor(_ name: String) throws(Failure) -> Tensor? { try fused([name]) }
}

extension ParameterBuffer: ParameterSource {}

/// Memory that one matrix after the other is read into: malloc would scatter them and keep what each leaves. What is far
/// larger than the next one needs is given up; the vocabulary's matrix comes first.
private final class MatrixRoom {
    private static let mostWaste = 16
    private var room: ScratchTensor
    private var largest = 0

    init(_ type: ElementType) { room = ScratchTensor(columns: 1, type: type) }

    /// Contents are unspecified; valid until the next call.
    func tensor(rows: Int, columns: Int) -> Tensor {
        let count = rows * columns
        if largest > Self.mostWaste * count {
            room = ScratchTensor(columns: 1, type: room.type)
            largest = 0
        }
        largest = max(largest, count)
        return room.tensor(rows: count).reshaped(rows: rows, columns: columns)
    }
}

/// Reads parameters out of a model's files when they are asked for, so that no more than one matrix is ever in memory
/// beside what is packed.
struct FileParameters: ParameterSource {
    let files: ModelFiles
    /// Type of matrices; vectors are f32.
    let type: ElementType
    let context: ComputeContext
    private let specs: [String: ParameterSpec]
    private let wholes: MatrixRoom
    private let parts = MatrixRoom(.f32)

    init(_ files: ModelFiles, type: ElementType, context: ComputeContext) {
        self.files = files
        self.type = type
        self.context = context
        wholes = MatrixRoom(type)
        specs = Dictionary(uniqueKeysWithValues: files.configuration.parameters.map { ($0.name, $0) })
    }

    func fused(_ names: [String]) throws(ModelError) -> Tensor? {
        let specs = names.compactMap { self.specs[$0] }
        guard let first = specs.first else { return nil }
        precondition(specs.count == names.count, "fused parameters exist together or not at all")
        let isVector = first.shape.count == 1
        let type = isVector ? .f32 : type
        let heights = specs.map { isVector ? 1 : $0.shape[0] }
        let widths = specs.map { $0.shape[$0.shape.count - 1] }
        let whole =
            isVector
            ? Tensor(rows: 1, columns: widths.reduce(0, +))
            : wholes.tensor(rows: heights.reduce(0, +), columns: widths[0])
        var offset = 0
        for (spec, (rows, columns)) in zip(specs, zip(heights, widths)) {
            let part = Tensor(
                viewing: whole.bytes + offset * type.byteCount, rows: rows, columns: columns, type: type, owner: nil)
            offset += part.count
            let values = type == .f32 ? part : parts.tensor(rows: rows, columns: columns)
            try read(spec.name, into: values)
            if type != .f32 { context.convert(from: values, to: part) }
        }
        return whole
    }

    private func read(_ name: String, into values: Tensor) throws(ModelError) {
        do {
            try files.read(name, into: UnsafeMutableBufferPointer(start: values.f32, count: values.count))
        } catch let error as ModelError {
            throw error
        } catch {
            throw ModelError(.unreadable, "\(files.path): tensor '\(name)': \(error)")
        }
    }
}
