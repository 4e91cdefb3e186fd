/// What the bytes of a weight snapshot are: which tensor lies where, for engines that store weights in another way.
package struct WeightManifest: Sendable, Equatable, Codable {
    package struct Tensor: Sendable, Equatable, Codable {
        /// As Hugging Face checkpoints name it.
        package var name: String
        /// Row-major; empty for a single number.
        package var shape: [Int]
        package var type: WeightType
        /// From the start of the snapshot.
        package var byteOffset: Int

        package init(name: String, shape: [Int], type: WeightType, byteOffset: Int) {
            self.name = name
            self.shape = shape
            self.type = type
            self.byteOffset = byteOffset
        }

        package var byteCount: Int { shape.reduce(type.byteCount, *) }
    }

    package var tensors: [Tensor]
    /// Of the whole snapshot, padding included.
    package var byteCount: Int

    package init(tensors: [Tensor], byteCount: Int) {
        self.tensors = tensors
        self.byteCount = byteCount
    }

    /// Why the tensors cannot lie in a snapshot as listed, in one line; nil when they can.
    package var flaw: String? {
        var end = 0, names: Set<String> = []
        for tensor in tensors.sorted(by: { $0.byteOffset < $1.byteOffset }) {
            guard names.insert(tensor.name).inserted else { return "\(tensor.name) is there twice" }
            guard tensor.shape.allSatisfy({ (0...Int(Int32.max)).contains($0) }),
                let size = tensor.shape.product(from: tensor.type.byteCount)
            else { return "\(tensor.name) has an impossible shape" }
            guard tensor.byteOffset >= end else { return "\(tensor.name) overlaps another tensor" }
            guard size <= byteCount - tensor.byteOffset else { return "\(tensor.name) ends behind the snapshot" }
            end = tensor.byteOffset + size
        }
        return nil
    }
}

extension WeightType {
    /// Bytes of one value.
    package var byteCount: Int { self == .f32 ? 4 : 2 }
}

extension [Int] {
    /// Nil when it does not fit.
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
