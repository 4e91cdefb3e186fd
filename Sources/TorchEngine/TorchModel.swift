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
    let manifest: WeightManifest
    private let settings: JSONObject
    /// What they begin with, and the seed of it; nil where no adapters are trained.
    private let firstAdapters: (snapshot: AdapterSnapshot, seed: UInt64)?

    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters, and errors that name a damaged file.
    init(_ model: ModelReference, _ reference: TorchReference, use: Use) throws {
        let files = try TorchFiles(model.path)
        tokenizerFingerprint = try files.loadTokenizer().fingerprint
        var settings: JSONObject = [
            "model": .string(model.path), "dtype": .string((reference.type ?? model.type).rawValue),
            "attention": .string(reference.attention), "recompute": .bool(reference.recomputes && use == .train),
            "compile": .bool(reference.compiles), "use": .string(use.name), "slots": .integer(use.slots),
            "cache": .number(reference.cacheShare),
        ]
        if let options = model.adapters, let snapshot = try files.adapterSnapshot(options) {
            let shape = snapshot.layout.shape
            manifest = WeightManifest(snapshot.manifest, computedIn: model.type)
            settings["adapters"] = [
                "rank": .integer(options.rank), "alpha": .number(Double(options.alpha)),
                "scale": .number(Double(shape.scale)),
                "targets": .array(shape.targets.map { .string($0.rawValue) }),
                "fingerprint": .string(String(snapshot.baseFingerprint, radix: 16)), "values": "",
            ]
            firstAdapters = use == .train ? (snapshot, options.seed) : nil
        } else {
            manifest = files.manifest(model.type)
            firstAdapters = nil
        }
        if use != .score { settings["manifest"] = manifest.json }
        self.settings = settings
    }

    /// The request that loads it.
    /// - Parameter folder: for what the request names beside the model.
    func load(_ folder: String) throws -> TorchMessage {
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
