import Rules

/// Which values lie where in the bytes of a broadcast version: what a reader needs that has no model code.
///
/// Numbers are little-endian and row-major. Bytes that no entry covers are the fill before the next multiple of 64, and
/// the head of an adapter snapshot.
package struct BroadcastLayout: Sendable, Equatable {
    /// One parameter's place.
    package struct Entry: Sendable, Equatable {
        /// Hugging Face's name.
        package let name: String
        /// `[outputs, inputs]` for a matrix, `[count]` for a vector.
        package let shape: [Int]
        package let type: ElementType
        /// The place of its first byte, from the start of the broadcast.
        package let byteOffset: Int
        package let byteCount: Int
    }

    /// All parameters, in the order of their offsets.
    package let entries: [Entry]
    /// Size of the whole broadcast.
    package let byteCount: Int

    /// - Parameter headByteCount: bytes before those that `layout` describes.
    init(_ layout: ParameterLayout, headByteCount: Int = 0) {
        entries = layout.entries.map {
            Entry(
                name: $0.spec.name, shape: $0.spec.shape, type: $0.type, byteOffset: headByteCount + $0.byteOffset,
                byteCount: $0.byteCount)
        }
        byteCount = headByteCount + layout.byteCount
    }
}

extension ParameterLayout {
    /// The places of all parameters of a broadcast that is laid out so.
    package var manifest: BroadcastLayout { BroadcastLayout(self) }
}

extension AdapterSnapshot {
    /// The places of all factors of a broadcast of adapters.
    package var manifest: BroadcastLayout { BroadcastLayout(places.parameters, headByteCount: Self.headByteCount) }
}
