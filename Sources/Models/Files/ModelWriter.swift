import Files
import JSON
import Tokenizers
import Wording

/// Writes Hugging Face folders that transformers loads unchanged.
package enum ModelWriter {
    /// The type that weights are written in.
    package enum WeightType: String, Sendable, Codable, CaseIterable {
        case f32 = "F32"
        case bf16 = "BF16"

        /// torch's name, as config.json has it.
        var torchName: String { self == .f32 ? "float32" : "bfloat16" }
        var safetensors: SafetensorsType { self == .f32 ? .f32 : .bf16 }
    }

    /// Writes config.json, generation_config.json, the weights and, when `tokenizerSource` is given, tokenizer files:
    /// copies of a folder's, or made from a GGUF file's metadata.
    ///
    /// `parameters` gives the values of each parameter in the canonical order; its buffer must stay valid until the
    /// next call. Every file is written under a temporary name, flushed and renamed; config.json comes last, so that
    /// a folder with one is whole. Weights above `maximumShardByteCount` are split over several files.
    package static func write(
        to folder: String, configuration: ModelConfiguration, type: WeightType,
        copyingTokenizerFrom tokenizerSource: ModelFiles? = nil, maximumShardByteCount: Int = 4 << 30,
        parameters: (ParameterSpec) throws -> UnsafeBufferPointer<Float>
    ) throws {
        try FileSystem.createFolder(folder)
        try writeWeights(
            to: folder, configuration.parameters, type: type, maximumShardByteCount: maximumShardByteCount,
            parameters: parameters)
        var generation = configuration.generationJSON
        if let tokenizerSource {
            for (name, text) in try tokenizerSource.tokenizerFiles() {
                if name.contains("/") {
                    try FileSystem.createFolder(FileTree.parent(of: folder.appendingPath(name)))
                }
                try FileSystem.write(text, to: folder.appendingPath(name))
            }
            // A folder's own generation settings stay (sampling defaults), with every token that ends a sequence.
            let own = tokenizerSource.path.appendingPath("generation_config.json")
            if case .folder = tokenizerSource.origin, FileSystem.isFile(own),
                var json = try FileSystem.json(own).object, let eos = configuration.generationJSON["eos_token_id"]
            {
                json["eos_token_id"] = eos
                generation = .object(json)
            }
        }
        try FileSystem.write(generation.text() + "\n", to: folder.appendingPath("generation_config.json"))
        try FileSystem.write(
            configuration.huggingFaceJSON(type: type.torchName).text() + "\n",
            to: folder.appendingPath("config.json"))
    }

    private static func writeWeights(
        to folder: String, _ specs: [ParameterSpec], type: WeightType, maximumShardByteCount: Int,
        parameters: (ParameterSpec) throws -> UnsafeBufferPointer<Float>
    ) throws {
        var shards: [[ParameterSpec]] = [[]]
        var size = 0
        let width = type.safetensors.byteCount
        for spec in specs {
            if size > 0, size + spec.count * width > maximumShardByteCount {
                shards.append([])
                size = 0
            }
            shards[shards.count - 1].append(spec)
            size += spec.count * width
        }
        var map = JSONObject()
        for (index, shard) in shards.enumerated() {
            let number = (index + 1).padded(to: 5), count = shards.count.padded(to: 5)
            let name = shards.count == 1 ? "model.safetensors" : "model-\(number)-of-\(count).safetensors"
            var writer = try SafetensorsWriter(
                folder.appendingPath(name), entries: shard.map { .init($0.name, type.safetensors, $0.shape) })
            for spec in shard {
                let values = try parameters(spec)
                guard values.count == spec.count else {
                    throw ModelError(
                        .invalidArgument,
                        "parameter '\(spec.name)' needs \(spec.count) values, \(values.count) were given")
                }
                try writer.append(floats: values, as: type.safetensors)
                map.members.append(.init(key: spec.name, value: .string(name)))
            }
            try writer.finish()
        }
        let indexPath = folder.appendingPath("model.safetensors.index.json")
        if shards.count == 1 {
            // What an earlier model in this folder left would name files that are gone.
            FileSystem.remove(indexPath)
        } else {
            let total = specs.reduce(0) { $0 + $1.count } * width
            let index: JSONObject = ["metadata": ["total_size": .integer(total)], "weight_map": .object(map)]
            try FileSystem.write(JSONValue.object(index).text() + "\n", to: indexPath)
            FileSystem.remove(folder.appendingPath("model.safetensors"))
        }
    }

    /// Writes any model as a Hugging Face folder. Without `type`, BF16 for BF16 weights and F32 for all others.
    /// - Parameter untying: gives a model whose head is its embeddings a head of its own, with the same values.
    package static func convert(
        from source: ModelFiles, to folder: String, type: WeightType? = nil, untying: Bool = false
    ) throws {
        try refuseSame(source, folder)
        let reader = TensorReader(source)
        let untied = untying ? source.configuration.untied : nil
        try write(
            to: folder, configuration: untied?.configuration ?? source.configuration,
            type: type ?? source.naturalWeightType, copyingTokenizerFrom: source
        ) { spec in
            try reader.values(of: untied.map { spec.name == $0.headName ? $0.embeddingName : spec.name } ?? spec.name)
        }
    }

    /// Throws when the folder to write is the model to read.
    static func refuseSame(_ source: ModelFiles, _ folder: String) throws {
        if FileSystem.isSame(source.path, folder) {
            throw ModelError(.invalidArgument, "\(folder): is the model itself; give another folder to write to")
        }
    }
}

extension ModelFiles {
    /// The type that loses nothing: BF16 for BF16 weights, F32 for all others.
    package var naturalWeightType: ModelWriter.WeightType { storedType == "BF16" ? .bf16 : .f32 }
}

/// Memory for one tensor at a time of a model that is copied; grows to the largest.
final class TensorReader {
    private let source: any TensorSource
    private let origin: String
    private var buffer = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)

    /// - Parameter origin: the path of the model.
    init(_ source: any TensorSource, of origin: String) {
        self.source = source
        self.origin = origin
    }

    convenience init(_ files: ModelFiles) { self.init(files.source, of: files.path) }

    deinit { buffer.deallocate() }

    /// The values of a tensor as f32, valid until the next call.
    func values(of name: String) throws -> UnsafeBufferPointer<Float> {
        guard let count = source.shape(of: name)?.reduce(1, *) else {
            throw ModelError(.tensor, "\(origin): no tensor '\(name)'")
        }
        if buffer.count < count {
            buffer.deallocate()
            buffer = .allocate(capacity: count)
            buffer.initialize(repeating: 0)
        }
        let part = UnsafeMutableBufferPointer(rebasing: buffer[0..<count])
        try source.read(name, into: part)
        return UnsafeBufferPointer(part)
    }
}
