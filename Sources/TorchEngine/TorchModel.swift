import Engines
import Foundation
import JSON
import Models
import StudentWeights
import Wire

/// A model as an engine is told to load it, and what is known of it here: the same for a trainer, a teacher and a
/// sampler.
struct TorchModel: Sendable {
    /// What it is loaded for.
    enum Use: Sendable, Equatable {
        case train, score
        /// It samples so many responses at once.
        case sample(slots: Int)
    }

    let tokenizerFingerprint: String
    /// What is sent out of such a student: the same as the native engine sends, whose workers take it too.
    private(set) var manifest: WeightManifest
    private var settings: JSONObject
    /// What they begin with, and the seed of it; nil where no adapters are trained.
    private var firstAdapters: (snapshot: AdapterSnapshot, seed: UInt64)?

    /// Starts an engine and has it load a model.
    /// - Throws: ``EngineRefusal`` when the engine does not start or take the model, or this cannot have such adapters;
    ///   errors that name a damaged file.
    static func started(
        _ model: ModelReference, _ reference: TorchReference, use: Use, threads: Int
    ) throws -> (model: TorchModel, session: TorchSession) {
        // What is wrong with files is said before an engine is started.
        let files = try StudentFiles(model.path)
        var loaded = TorchModel(
            model, reference, use: use, tokenizerFingerprint: try files.loadTokenizer().fingerprint,
            manifest: files.manifest(model.type))
        let session = try TorchSession(reference, threads: threads) { ask in
            if let options = model.adapters {
                loaded.adapt(try files.adapterSnapshot(options, ask: ask), options, type: model.type, use: use)
            }
            if use != .score { loaded.settings["manifest"] = loaded.manifest.json }
            let loaded = loaded
            return { try loaded.load($0) }
        }
        return (loaded, session)
    }

    private init(
        _ model: ModelReference, _ reference: TorchReference, use: Use, tokenizerFingerprint: String,
        manifest: WeightManifest
    ) {
        self.tokenizerFingerprint = tokenizerFingerprint
        self.manifest = manifest
        settings = [
            "model": .string(model.path), "dtype": .string((reference.type ?? model.type).rawValue),
            "attention": .string(reference.attention), "recompute": .bool(reference.recomputes && use == .train),
            "compile": .bool(reference.compiles), "use": .string(use.name), "slots": .integer(use.slots),
            "cache": .number(reference.cacheShare),
        ]
    }

    /// Has adapters alone trained and sent.
    private mutating func adapt(
        _ snapshot: AdapterSnapshot, _ options: AdapterOptions, type: WeightType, use: Use
    ) {
        let places = snapshot.places
        manifest = WeightManifest(snapshot.manifest, computedIn: type)
        settings["adapters"] = [
            "rank": .integer(places.rank), "alpha": .number(Double(places.alpha)),
            "scale": .number(Double(places.scale)), "targets": .array(places.targets.map { .string($0) }),
            "fingerprint": .string(String(snapshot.baseFingerprint, radix: 16)), "values": "",
        ]
        if use == .train { firstAdapters = (snapshot, options.seed) }
    }

    /// The request that loads it.
    /// - Parameter folder: for what the request names beside the model.
    private func load(_ folder: String) throws -> TorchMessage {
        guard let (snapshot, seed) = firstAdapters else { return TorchMessage("load", settings) }
        let values = WeightBytes(count: snapshot.byteCount) {
            snapshot.writeInitial(seed: seed, into: $0)
        }
        let path = "\(folder)/adapters"
        try values.write(to: path)
        var settings = settings, adapters = settings["adapters"]?.object ?? [:]
        adapters["values"] = .string(path)
        settings["adapters"] = .object(adapters)
        return TorchMessage("load", settings)
    }
}

extension TorchModel.Use {
    fileprivate var name: String {
        switch self {
        case .train: "train"
        case .score: "score"
        case .sample: "sample"
        }
    }

    fileprivate var slots: Int { if case .sample(let slots) = self { slots } else { 1 } }
}

extension WeightBytes {
    /// Writes all of it into a file of this user's.
    func write(to path: String) throws {
        let data = Data(
            bytesNoCopy: UnsafeMutableRawPointer(mutating: bytes.baseAddress!), count: count, deallocator: .none)
        do {
            try data.write(to: URL(filePath: path))
        } catch {
            throw EngineError("\(path) cannot be written: \(count) bytes of weights; is there room? TMPDIR says where")
        }
    }
}

extension WeightManifest {
    fileprivate var json: JSONValue {
        let listed = tensors.map { tensor -> JSONValue in
            [
                "name": .string(tensor.name), "shape": .array(tensor.shape.map { .integer($0) }),
                "type": .string(tensor.type.rawValue), "byteOffset": .integer(tensor.byteOffset),
            ]
        }
        return ["tensors": .array(listed), "byteCount": .integer(byteCount)]
    }
}
