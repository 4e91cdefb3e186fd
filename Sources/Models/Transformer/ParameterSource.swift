import Compute

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

/// Reads parameters out of a model's files when they are asked for, so that no more than one matrix is ever in memory
/// beside what is packed.
struct FileParameters: ParameterSource {
    let files: ModelFiles
    /// Type of matrices; vectors are f32.
    let type: ElementType
    let context: ComputeContext
    private let specs: [String: ParameterSpec]

    init(_ files: ModelFiles, type: ElementType, context: ComputeContext) {
        self.files = files
        self.type = type
        self.context = context
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
        let whole = Tensor(
            rows: isVector ? 1 : heights.reduce(0, +), columns: isVector ? widths.reduce(0, +) : widths[0], type: type)
        var offset = 0
        for (spec, (rows, columns)) in zip(specs, zip(heights, widths)) {
            let part = Tensor(
                viewing: whole.bytes + offset * type.byteCount, rows: rows, columns: columns, type: type, owner: nil)
            offset += part.count
            let values = type == .f32 ? part : Tensor(rows: rows, columns: columns)
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
