import Engines
import Files
import JSON
import Models
import StudentWeights
import Wire

/// All weights of a version as a Hugging Face folder from which a server takes them.
package struct ServedFolder: Sendable {
    /// Its `config.json`, but for the weights' type.
    private let configuration: JSONObject
    /// The names of a head that is written as one of its own beside the embeddings, whose values it has: vLLM packs the
    /// head once on CPUs, and keeps it when only the embeddings are written. Nil: the weights have one.
    private let copiedHead: (name: String, embedding: String)?

    /// - Throws: ``EngineRefusal`` for a head that is the embeddings in a family whose names for them nobody here knows.
    init(_ files: StudentFiles) throws(EngineRefusal) {
        switch files {
        case .known(let files):
            let untied = files.configuration.untied
            let json = (untied?.configuration ?? files.configuration).huggingFaceJSON(type: "float32")
            configuration = json.object ?? [:]
            copiedHead = untied.map { ($0.headName, $0.embeddingName) }
        case .other(let folder):
            guard folder.hasOwnHead else {
                throw EngineRefusal(
                    .engine,
                    "rollout.engine: the head of \(folder.path) is its embeddings, and a server is brought such weights "
                        + "of the families of engine native alone; set rollout.engine: torch")
            }
            configuration = folder.configuration.object ?? [:]
            copiedHead = nil
        }
    }

    /// Writes tensor after tensor as they lie in the snapshot.
    func write(_ bytes: WeightBytes, _ manifest: WeightManifest, to folder: String) throws {
        try FileTree.createFolder(folder)
        var tensors = manifest.tensors.map { (name: $0.name, tensor: $0) }
        if let head = copiedHead, !tensors.contains(where: { $0.name == head.name }),
            let embedding = manifest.tensors.first(where: { $0.name == head.embedding })
        {
            tensors.append((head.name, embedding))
        }
        var writer = try SafetensorsWriter(
            "\(folder)/model.safetensors",
            entries: tensors.map { .init($0.name, $0.tensor.type == .f32 ? .f32 : .bf16, $0.tensor.shape) })
        for (_, tensor) in tensors {
            let place = tensor.byteOffset..<tensor.byteOffset + tensor.byteCount
            try withExtendedLifetime(bytes) {
                try writer.append(UnsafeRawBufferPointer(rebasing: bytes.bytes[place]))
            }
        }
        try writer.finish()
        var json = configuration
        // As transformers 5 and 4 name it.
        for key in ["dtype", "torch_dtype"] {
            json[key] = .string(manifest.matrixType == .f32 ? "float32" : "bfloat16")
        }
        // Last, so that a folder with one is whole.
        try FileTree.write(JSONValue.object(json).text() + "\n", to: "\(folder)/config.json")
    }
}
