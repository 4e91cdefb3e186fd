import Engines
import Models
import StudentWeights
import Wire

extension StudentFiles {
    /// Adapters that a run begins with.
    /// - Parameter ask: asks an engine, which knows the matrices of a family that is not read here.
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters.
    func adapterSnapshot(
        _ options: AdapterOptions, ask: (TorchMessage) throws -> TorchMessage
    ) throws -> AdapterSnapshot {
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
