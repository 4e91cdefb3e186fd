import Files
import Tokenizers

/// A model on disk, opened: a Hugging Face folder, a GGUF file or any part of one, or a folder that holds one GGUF model
/// and no config.json.
///
/// Weights stay in the memory-mapped files until ``read(_:into:)`` converts them. Opening has checked that every
/// parameter of the configuration is there with its shape.
package struct ModelFiles: Sendable {
    /// The path that was given to ``open(_:)``.
    package let path: String
    package let configuration: ModelConfiguration
    let source: any TensorSource
    let origin: Origin
    /// Parts of a model of several parts that are not its text part and were left out: "vision_tower".
    package let leftOut: [String]

    /// What kind of files these are.
    enum Origin: Sendable {
        case folder
        case gguf(GGUFFile)
    }

    /// Opens and checks a model. Throws ``ModelError`` naming file, key or tensor.
    package static func open(_ path: String) throws -> ModelFiles {
        guard FileSystem.isDirectory(path) else {
            guard FileSystem.isFile(path) else {
                throw ModelError(.unreadable, "\(path): no such model folder or GGUF file")
            }
            guard !path.hasSuffix(".safetensors") && !path.hasSuffix(".json") else {
                throw ModelError(.unreadable, "\(path): give the folder that holds it")
            }
            return try ModelFiles(gguf: path, named: path)
        }
        if FileSystem.isFile(path.appendingPath("config.json")) { return try ModelFiles(folder: path) }
        return try ModelFiles(gguf: try gguf(in: path), named: path)
    }

    /// Opens what tells how a model reads text: a model, or a folder with a model's `config.json` and tokenizer alone.
    package static func openText(_ path: String) throws -> ModelFiles {
        guard FileSystem.isDirectory(path), FileSystem.isFile(path.appendingPath("config.json")),
            try !FileSystem.names(in: path).contains(where: { $0.hasSuffix(".safetensors") })
        else { return try open(path) }
        return try ModelFiles(folder: path, isTextAlone: true)
    }

    /// The one GGUF file of a folder without config.json, or the first of the parts of the one model there.
    private static func gguf(in folder: String) throws -> String {
        let files = try FileSystem.names(in: folder).filter { $0.hasSuffix(".gguf") }
        guard let name = files.first else {
            throw ModelError(.unreadable, "\(folder): neither config.json nor a GGUF file in this folder")
        }
        let model = GGUFPartName(name)?.sibling(0)
        guard files.count == 1 || model != nil && files.allSatisfy({ GGUFPartName($0)?.sibling(0) == model }) else {
            throw ModelError(.unreadable, "\(folder): several GGUF files (\(files.joined(separator: ", "))); name one")
        }
        return folder.appendingPath(name)
    }

    /// - Parameter isTextAlone: the folder has a configuration and a tokenizer, and no weights to check.
    private init(folder: String, isTextAlone: Bool = false) throws {
        path = folder
        let file = folder.appendingPath("config.json")
        let generation = folder.appendingPath("generation_config.json")
        let config = try FileSystem.json(file, takesPythonWords: true)
        var configuration = try ModelConfiguration(
            huggingFace: config,
            generation: FileSystem.isFile(generation) ? try FileSystem.json(generation) : nil, file: file)
        origin = .folder
        guard !isTextAlone else {
            self.configuration = configuration
            source = NoTensors()
            leftOut = []
            return
        }
        let weights = try SafetensorsSource(
            folder: folder, isTextPart: ConfigReader(json: config, file: file).hasParts)
        // As in transformers 5, a head that is stored beside the embeddings and is another is the model's own, whatever
        // the configuration says.
        let schema = configuration.family.schema
        if configuration.tiedEmbeddings, try weights.differ(schema.head.weight, schema.embedding.weight) {
            configuration.tiedEmbeddings = false
        }
        self.configuration = configuration
        source = weights
        leftOut = weights.leftOut
        try validate()
        try refuseWeightsOfOtherLayers()
    }

    private init(gguf file: String, named path: String) throws {
        self.path = path
        let file = try GGUFFile(file)
        configuration = try ModelConfiguration(gguf: file)
        source = try GGUFSource(file, configuration: configuration)
        leftOut = []
        origin = .gguf(file)
        try validate()
    }

    /// The type of most of the stored weights: "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1".
    package var storedType: String { source.storedType }

    /// Hugging Face names of all stored tensors, whatever the file calls them.
    package var tensorNames: [String] { source.names }

    package func shape(of name: String) throws -> [Int] {
        guard let shape = source.shape(of: name) else { throw ModelError(.tensor, "\(path): no tensor '\(name)'") }
        return shape
    }

    /// Reads a tensor as row-major f32, dequantized; `destination` has room for exactly its values.
    package func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        let count = try shape(of: name).reduce(1, *)
        guard destination.count == count else {
            throw ModelError(
                .tensor, "\(path): tensor '\(name)' has \(count) values where \(destination.count) are wanted")
        }
        try source.read(name, into: destination)
    }

    /// Refuses weights and biases of layers, or a bias of the head, that no parameter has: another kind of layer would be
    /// computed without them. Buffers, parts beside the layers and layers behind the last are not read.
    private func refuseWeightsOfOtherLayers() throws {
        let schema = configuration.schema
        let parameters = Set(configuration.parameters.map(\.name))
        let prefixes = (0..<configuration.layerCount).map { "\(schema.layerPrefix)\($0)." }
        func isOfLayer(_ name: String) -> Bool {
            guard name.hasPrefix(schema.layerPrefix) else { return false }
            let number = name.dropFirst(schema.layerPrefix.count).prefix { $0 != "." }
            return Int(number).map { prefixes.indices.contains($0) && name.hasPrefix(prefixes[$0]) } ?? false
        }
        for name in source.names where !parameters.contains(name) {
            let isWeight = name.hasSuffix(".weight") || name.hasSuffix(".bias")
            guard isWeight && isOfLayer(name) || name == schema.head.name + ".bias" else { continue }
            throw ModelError(
                .unsupported,
                "\(path): tensor '\(name)' is not one of this \(configuration.family.name) model; its config.json tells "
                    + "of no such weights")
        }
    }

    /// Checks that every parameter of the configuration is stored with its shape.
    package func validate() throws {
        for parameter in configuration.parameters {
            guard let shape = source.shape(of: parameter.name) else {
                throw ModelError(
                    .tensor, "\(path): tensor '\(parameter.name)' is missing; the weights do not fit the configuration")
            }
            guard shape == parameter.shape else {
                throw ModelError(
                    .tensor,
                    "\(path): tensor '\(parameter.name)' has shape \(shape) where the configuration needs \(parameter.shape)"
                )
            }
        }
    }
}
