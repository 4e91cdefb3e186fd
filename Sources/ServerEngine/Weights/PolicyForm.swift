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
    case whole(ServedFolder, WeightManifest)

    /// What a learner sends of a student.
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters, or a server cannot be brought its weights.
    package init(_ files: StudentFiles, adapters: AdapterOptions?, type: WeightType) throws {
        switch (files, adapters) {
        case (_, nil):
            self = .whole(try ServedFolder(files), files.manifest(type))
        case (.known(let files), let adapters?):
            let snapshot = try files.adapterSnapshot(adapters)
            self = .adapters(files, snapshot, WeightManifest(snapshot.manifest, computedIn: type))
        case (.other(let folder), _?):
            throw Self.refusal(ofAdaptersOf: folder)
        }
    }

    /// Refuses a student of which a server cannot be brought what a learner sends, before any of its weights is read.
    static func check(_ model: ModelReference) throws {
        let files = try StudentFiles(model.path)
        if model.adapters == nil {
            _ = try ServedFolder(files)
        } else if case .other(let folder) = files {
            throw refusal(ofAdaptersOf: folder)
        }
    }

    private static func refusal(ofAdaptersOf folder: OtherFamilyFolder) -> EngineRefusal {
        EngineRefusal(
            .adapters,
            "a server is brought adapters of the families of engine native alone, and \(folder.path) is of another; set it "
                + "to 0, or rollout.engine: torch")
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
        case .whole(let served, let manifest):
            try served.write(bytes, manifest, to: folder)
        }
    }
}
