import Engines
import Files
import JSON
import Models
import Wire

/// All weights of a version as a Hugging Face folder from which a server takes them.
enum ServedFolder {
    /// Writes tensor after tensor as they lie in the snapshot. A head that is the embeddings is written as one of its
    /// own: vLLM packs the head once on CPUs, and keeps it when only the embeddings are written.
    static func write(
        _ bytes: WeightBytes, _ manifest: WeightManifest, _ configuration: ModelConfiguration,
        to folder: String
    ) throws {
        try FileTree.createFolder(folder)
        let untied = configuration.untied
        var tensors = manifest.tensors.map { (name: $0.name, tensor: $0) }
        if let untied, !tensors.contains(where: { $0.name == untied.headName }),
            let embedding = manifest.tensors.first(where: { $0.name == untied.embeddingName })
        {
            tensors.append((untied.headName, embedding))
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
        let json = (untied?.configuration ?? configuration).huggingFaceJSON(
            type: manifest.matrixType == .f32 ? "float32" : "bfloat16")
        // Last, so that a folder with one is whole.
        try FileTree.write(json.text() + "\n", to: "\(folder)/config.json")
    }
}
