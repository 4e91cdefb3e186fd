import Engines
import Models
import StudentWeights
import Wire

/// What of a student's weights changes, and how it is written for a server.
package enum PolicyForm: Sendable {
    /// Nothing: a teacher's.
    case fixed
    /// Adapters, each version under a name of its own.
    case adapters(ModelFiles, AdapterSnapshot, WeightManifest)
    /// All weights, in the places that a manifest tells.
    case whole(ModelConfiguration, WeightManifest)

    /// What a learner sends of a student.
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters.
    package init(_ files: ModelFiles, adapters: AdapterOptions?, type: WeightType) throws {
        if let snapshot = try files.adapterSnapshot(adapters) {
            self = .adapters(files, snapshot, WeightManifest(snapshot.manifest, computedIn: type))
        } else {
            let layout = ParameterLayout(files.configuration, matrixType: type == .f32 ? .f32 : .bf16).manifest
            self = .whole(files.configuration, WeightManifest(layout, computedIn: type))
        }
    }

    /// What a learner sends; nil: nothing.
    package var manifest: WeightManifest? {
        switch self {
        case .fixed: nil
        case .adapters(_, _, let manifest), .whole(_, let manifest): manifest
        }
    }

    /// Whether new weights take the place of those that responses under way are sampled with.
    package var replacesInPlace: Bool { if case .whole = self { true } else { false } }

    /// Writes a version as a server reads it: adapters in peft's form, or a Hugging Face folder.
    /// - Throws: `EngineError` for a snapshot of another model; `ModelError` when a file cannot be written.
    package func write(_ bytes: WeightBytes, _ sent: WeightManifest, version: UInt64, to folder: String) throws {
        guard let manifest else { throw EngineError("a teacher was sent weights \(version)") }
        try manifest.accept(bytes, sent, version: version, use: "takes")
        switch self {
        case .fixed: break
        case .adapters(let files, let snapshot, _):
            do {
                try withExtendedLifetime(bytes) {
                    try AdapterFolder.write(
                        snapshot.places, try snapshot.values(in: bytes.bytes), to: folder, base: files.path,
                        fingerprint: snapshot.baseFingerprint)
                }
            } catch {
                throw EngineError("weights of version \(version): \(error)")
            }
        case .whole(let configuration, let manifest):
            try ServedFolder.write(bytes, manifest, configuration, to: folder)
        }
    }
}
