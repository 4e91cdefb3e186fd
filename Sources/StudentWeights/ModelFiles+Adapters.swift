import Engines
import Models

extension ModelFiles {
    /// Where the adapters lie that are trained beside this model.
    /// - Throws: ``EngineRefusal`` when this model cannot have them.
    package func adapterLayout(_ options: AdapterOptions) throws(EngineRefusal) -> AdapterLayout {
        do {
            let named = try AdapterLayout.targets(options.targets, in: configuration)
            let targets = named.isEmpty ? AdapterShape.Target.allCases : named
            return try AdapterLayout(
                configuration, AdapterShape(rank: options.rank, alpha: options.alpha, targets: Set(targets)))
        } catch {
            throw EngineRefusal(.adapters, "\(error)")
        }
    }

    /// What is sent out of a student whose adapters alone are trained.
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters; `ModelError`.
    package func adapterSnapshot(_ options: AdapterOptions) throws -> AdapterSnapshot {
        AdapterSnapshot(try adapterLayout(options).places, baseFingerprint: try fingerprint())
    }
}
