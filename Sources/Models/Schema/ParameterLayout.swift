import Rules

/// Where each parameter of a model lies in one contiguous buffer.
///
/// Parameters follow `ModelConfiguration.parameters`; those that one matrix product uses together (q, k, v; gate, up;
/// and their biases) are adjacent, so that a fused matrix is a view. Groups start on 64-byte boundaries.
package struct ParameterLayout: Sendable {
    /// One parameter's place.
    package struct Entry: Sendable {
        /// Hugging Face name and shape.
        package let spec: ParameterSpec
        /// Vectors (norm weights, biases) are always f32; matrices have the layout's matrix type.
        package let type: ElementType
        /// The place of its first byte, from the start of the buffer.
        package let byteOffset: Int

        /// A vector of n is seen as [1, n], and an array of more dimensions as all its rows.
        package var rows: Int { spec.shape.dropLast().reduce(1, *) }
        package var columns: Int { spec.columns }
        package var byteCount: Int { rows * columns * type.byteCount }
        /// Where its bytes lie in the buffer.
        package var byteRange: Range<Int> { byteOffset..<byteOffset + byteCount }
    }

    package let entries: [Entry]
    package let matrixType: ElementType
    /// Size of the whole buffer, padding included.
    package let byteCount: Int
    private let indexByName: [String: Int]

    /// - Parameter matrixType: how matrices are stored; f32 for masters and gradients, the compute type for broadcasts.
    package init(_ configuration: ModelConfiguration, matrixType: ElementType) {
        self.init(configuration.parameters, matrixType: matrixType)
    }

    init(_ specs: [ParameterSpec], matrixType: ElementType) {
        var entries: [Entry] = []
        var offset = 0
        for spec in specs {
            if !spec.followsPrevious { offset = (offset + 63) / 64 * 64 }
            let entry = Entry(spec: spec, type: spec.shape.count == 1 ? .f32 : matrixType, byteOffset: offset)
            offset += entry.byteCount
            entries.append(entry)
        }
        self.entries = entries
        self.matrixType = matrixType
        byteCount = (offset + 63) / 64 * 64
        indexByName = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.spec.name, $0) })
    }

    /// The entry of a parameter, nil when the model has none of that name.
    package subscript(name: String) -> Entry? { indexByName[name].map { entries[$0] } }
}
