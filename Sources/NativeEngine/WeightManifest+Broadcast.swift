import Compute
import Models
import Rules
import Wire

extension WeightManifest {
    /// Describes what is sent out: all weights, or the adapters behind their head.
    /// - Parameter type: that of the model's matrices, with which is computed.
    init(_ layout: BroadcastLayout, computedIn type: ElementType) {
        self.init(
            matrixType: type.weightType,
            tensors: layout.entries.map {
                Tensor(name: $0.name, shape: $0.shape, type: $0.type.weightType, byteOffset: $0.byteOffset)
            }, byteCount: layout.byteCount)
    }
}
