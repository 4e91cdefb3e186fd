import Engines
import Models
import Wire

extension ModelFiles {
    /// What is broadcast of a student whose adapters alone are trained; nil: all of it is.
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters; `ModelError`.
    func adapterSnapshot(_ options: AdapterOptions?) throws -> AdapterSnapshot? {
        guard let options else { return nil }
        let targets =
            options.targets.isEmpty ? AdapterShape.Target.allCases : options.targets.compactMap { .init(rawValue: $0) }
        let layout: AdapterLayout
        do {
            layout = try AdapterLayout(
                configuration, AdapterShape(rank: options.rank, alpha: options.alpha, targets: Set(targets)))
        } catch {
            throw EngineRefusal(.adapters, "\(error)")
        }
        return AdapterSnapshot(layout: layout, baseFingerprint: try fingerprint())
    }
}

extension WeightManifest {
    /// Which values lie where in what a learner sends.
    /// - Parameter type: that of the model's matrices, with which is computed.
    init(_ layout: BroadcastLayout, computedIn type: WeightType) {
        self.init(
            matrixType: type,
            tensors: layout.entries.map {
                .init(
                    name: $0.name, shape: $0.shape, type: $0.type == .f32 ? .f32 : .bf16, byteOffset: $0.byteOffset)
            }, byteCount: layout.byteCount)
    }
}
