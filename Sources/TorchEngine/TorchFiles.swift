import Engines
import Files
import Models
import Rules
import StudentWeights
import Tokenizers
import Wire

/// The files of a model that torch computes: of a family that is read here, too, or of another that transformers has.
enum TorchFiles {
    case known(ModelFiles)
    case other(OtherFamilyFolder)

    /// - Throws: `ModelError` naming file, key or tensor.
    init(_ path: String) throws {
        do {
            self = .known(try ModelFiles.open(path))
        } catch let error as ModelError where error.code == .unsupported {
            // Not a folder that transformers would open.
            guard FileTree.kind(path.appendingPath("config.json")) != .missing else { throw error }
            self = .other(try OtherFamilyFolder(path))
        }
    }

    func loadTokenizer() throws -> Tokenizer {
        switch self {
        case .known(let files): try files.loadTokenizer()
        case .other(let folder): try folder.loadTokenizer()
        }
    }

    /// Where each of the weights lies in a version that is sent out.
    func manifest(_ type: WeightType) -> WeightManifest {
        let matrixType: ElementType = type == .f32 ? .f32 : .bf16
        let layout =
            switch self {
            case .known(let files): ParameterLayout(files.configuration, matrixType: matrixType).manifest
            case .other(let folder): folder.manifest(matrixType: matrixType)
            }
        return WeightManifest(layout, computedIn: type)
    }

    /// Adapters that a run begins with; nil: all weights are trained.
    /// - Parameter ask: asks an engine, which knows the matrices of a family that is not read here.
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters.
    func adapterSnapshot(
        _ options: AdapterOptions?, ask: (TorchMessage) throws -> TorchMessage
    ) throws -> AdapterSnapshot? {
        guard let options else { return nil }
        switch self {
        case .known(let files): return try files.adapterSnapshot(options)
        case .other(let folder):
            let answer = try ask(
                TorchMessage(
                    "describe",
                    [
                        "model": .string(folder.path), "rank": .integer(options.rank),
                        "targets": .array(options.targets.map { .string($0) }),
                    ]))
            let places = AdapterPlaces(try answer.matrices(), rank: options.rank, alpha: options.alpha)
            return AdapterSnapshot(places, baseFingerprint: try folder.fingerprint())
        }
    }
}

extension TorchMessage {
    /// The matrices in an answer to `describe`.
    /// - Throws: ``TorchMessageError`` where they are none.
    package func matrices() throws(TorchMessageError) -> [AdapterPlaces.Matrix] {
        var found: [AdapterPlaces.Matrix] = [], names: Set<String> = []
        for entry in fields["matrices"]?.array ?? [] {
            guard let parts = entry.array, parts.count == 3, let stem = parts[0].string, !stem.isEmpty,
                let outputs = parts[1].int, let inputs = parts[2].int, (1...1 << 30).contains(outputs),
                (1...1 << 30).contains(inputs), names.insert(stem).inserted
            else { throw TorchMessageError("the answer to \(verb) has a matrix that is none") }
            found.append(.init(stem: stem, outputs: outputs, inputs: inputs))
        }
        guard !found.isEmpty else { throw TorchMessageError("the answer to \(verb) has no matrices") }
        return found
    }
}

extension OtherFamilyFolder {
    /// What a run must know of it; what a pass costs is not known.
    func describe() throws -> ModelDescription {
        ModelDescription(
            name: path,
            text: ModelText(tokenizer: try loadTokenizer(), templates: try chatTemplates()),
            contextLength: contextLength, vocabularySize: vocabularySize, forwardCost: nil)
    }
}
