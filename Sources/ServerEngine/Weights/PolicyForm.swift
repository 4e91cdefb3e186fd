import Engines
import Models

/// What of a student's weights changes, and how it is written for a server.
package enum PolicyForm: Sendable {
    /// Nothing: a teacher's.
    case fixed
    /// Adapters, each version under a name of its own.
    case adapters(ModelFiles, AdapterSnapshot)
    /// All weights, in the places of a layout.
    case whole(ModelConfiguration, WeightManifest, WeightType)

    /// What a learner sends of a student.
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters.
    package init(_ files: ModelFiles, adapters: AdapterOptions?, type: WeightType) throws {
        if let adapters = try files.adapterSnapshot(adapters) {
            self = .adapters(files, adapters)
        } else {
            self = .whole(files.configuration, files.configuration.manifest(type), type)
        }
    }

    /// Bytes of a snapshot; nil: there are none.
    package var byteCount: Int? {
        switch self {
        case .fixed: nil
        case .adapters(_, let snapshot): snapshot.byteCount
        case .whole(_, let manifest, _): manifest.byteCount
        }
    }

    /// Whether new weights take the place of those that responses under way are sampled with.
    package var replacesInPlace: Bool { if case .whole = self { true } else { false } }

    /// Writes a version as a server reads it: adapters in peft's form, or a Hugging Face folder.
    /// - Throws: `EngineError` for a snapshot of another model; `ModelError` when a file cannot be written.
    package func write(_ bytes: WeightBytes, type: WeightType, version: UInt64, to folder: String) throws {
        guard bytes.count == byteCount ?? -1 else {
            throw EngineError(
                "weights of version \(version) have \(bytes.count) bytes, but this worker's student takes "
                    + "\(byteCount ?? 0); give learner and worker the same student.model and lora section")
        }
        switch self {
        case .fixed: break
        case .adapters(let files, let snapshot):
            do {
                let adapters = try snapshot.read(bytes.bytes, owner: bytes)
                try AdapterFolder.write(adapters, to: folder, base: files, fingerprint: snapshot.baseFingerprint)
            } catch {
                throw EngineError("weights of version \(version): \(error)")
            }
        case .whole(let configuration, let manifest, let own):
            guard type == own else {
                throw EngineError(
                    "the learner sends \(type.rawValue) weights, but this worker takes \(own.rawValue); "
                        + "give both the same student.dtype")
            }
            try ServedFolder.write(bytes, manifest, configuration, type: type, to: folder)
        }
    }
}
