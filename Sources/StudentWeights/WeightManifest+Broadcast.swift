import Models
import Wire

extension WeightManifest {
    /// Describes what a learner sends out of a student, whatever engine trains it: all weights, or the adapters behind
    /// their head.
    /// - Parameter type: that of the model's matrices, with which is computed.
    package init(_ layout: BroadcastLayout, computedIn type: WeightType) {
        self.init(
            matrixType: type,
            tensors: layout.entries.map {
                Tensor(
                    name: $0.name, shape: $0.shape, type: $0.type == .f32 ? .f32 : .bf16, byteOffset: $0.byteOffset)
            }, byteCount: layout.byteCount)
    }
}
