/// How a model's matrices are stored, sent and computed with; norms and everything that is summed up stay f32.
package enum WeightType: String, Sendable, Codable, CaseIterable {
    case f32
    case bf16

    /// Bytes of one value.
    package var byteCount: Int { self == .f32 ? 4 : 2 }
}

/// What the bytes of a weight snapshot are: which tensor lies where, for engines that store weights in another way.
///
/// It is the same for every version of a run. Numbers are little-endian; bytes that no tensor covers have no meaning for
/// another engine.
package struct WeightManifest: Sendable, Equatable {
    /// A tensor, and where in the bytes it is.
    package struct Tensor: Sendable, Equatable {
        /// Name of the tensor, as Hugging Face checkpoints have it.
        package var name: String
        /// Row-major; empty for a single number.
        package var shape: [Int]
        package var type: WeightType
        /// Place of its first byte, counted from the snapshot's.
        package var byteOffset: Int

        package init(name: String, shape: [Int], type: WeightType, byteOffset: Int) {
            self.name = name
            self.shape = shape
            self.type = type
            self.byteOffset = byteOffset
        }

        package var byteCount: Int { shape.reduce(type.byteCount, *) }
    }

    /// How matrices are stored; of adapters, how the matrices are computed with that they change.
    package var matrixType: WeightType
    /// All tensors, in any order; none: it is not told what lies where.
    package var tensors: [Tensor]
    /// Bytes of the whole snapshot, padding included.
    package var byteCount: Int

    package init(matrixType: WeightType, tensors: [Tensor] = [], byteCount: Int) {
        self.matrixType = matrixType
        self.tensors = tensors
        self.byteCount = byteCount
    }

    /// The most dimensions of a tensor.
    package static let mostDimensions = 8

    /// Why the tensors cannot lie in a snapshot as listed, in one line; nil when they can.
    package var flaw: String? {
        var end = 0, names: Set<String> = []
        for tensor in tensors.sorted(by: { $0.byteOffset < $1.byteOffset }) {
            guard names.insert(tensor.name).inserted else { return "\(tensor.name) is there twice" }
            guard tensor.shape.count <= Self.mostDimensions,
                tensor.shape.allSatisfy({ (0...Int(Int32.max)).contains($0) }),
                let size = tensor.shape.product(from: tensor.type.byteCount)
            else { return "\(tensor.name) has an impossible shape" }
            guard tensor.byteOffset >= end else { return "\(tensor.name) overlaps another tensor" }
            guard size <= byteCount - tensor.byteOffset else { return "\(tensor.name) ends behind the snapshot" }
            end = tensor.byteOffset + size
        }
        return nil
    }

    /// What another manifest has otherwise than this one, in a few words; nil where it describes the same bytes or does
    /// not tell what lies where.
    package func difference(from other: WeightManifest) -> String? {
        guard !tensors.isEmpty, !other.tensors.isEmpty else { return nil }
        let theirs = Dictionary(other.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for tensor in tensors {
            guard let their = theirs[tensor.name] else { return "\(tensor.name) is missing" }
            if their.shape != tensor.shape { return "\(tensor.name) is \(their.shape), not \(tensor.shape)" }
            if their.type != tensor.type {
                return "\(tensor.name) is \(their.type.rawValue), not \(tensor.type.rawValue)"
            }
            if their.byteOffset != tensor.byteOffset {
                return "\(tensor.name) lies at \(their.byteOffset), not at \(tensor.byteOffset)"
            }
        }
        guard other.tensors.count > tensors.count else { return nil }
        let known = Set(tensors.map(\.name))
        return other.tensors.first { !known.contains($0.name) }.map { "\($0.name) is unknown" }
    }
}

extension [Int] {
    /// The product of all, and `start`; nil when it does not fit.
    fileprivate func product(from start: Int) -> Int? {
        var product = start
        for factor in self {
            let (value, overflows) = product.multipliedReportingOverflow(by: factor)
            guard !overflows else { return nil }
            product = value
        }
        return product
    }
}
