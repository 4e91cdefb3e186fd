import Files
import JSON
import Randomness
import Rules
import Templates
import Tokenizers

/// A Hugging Face folder of a model that no ``Family`` here reads: what a run must know of it before another engine
/// computes it, from the keys and files that most families share.
package struct OtherFamilyFolder: Sendable {
    package let path: String
    /// Longest sequence, in tokens.
    package let contextLength: Int
    /// Ids are below this.
    package let vocabularySize: Int
    /// What its `config.json` says.
    package let configuration: JSONValue
    /// Whether the head has weights of its own: there is another matrix of one row a token beside the embeddings.
    package let hasOwnHead: Bool
    private let begin: Int?
    private let ends: [Int]
    private let parameters: [ParameterSpec]

    /// Keys under which families name their context.
    private static let contextKeys = [
        "max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length",
    ]
    /// Types of weights that are trained; others are masks and positions.
    private static let weightTypes = ["F32", "F16", "BF16", "F64"]

    /// - Parameter isTextAlone: only how it reads text is wanted, and its weights may be anything.
    /// - Throws: ``ModelError`` naming what no engine here computes, or what contradicts itself.
    package init(_ path: String, isTextAlone: Bool = false) throws {
        self.path = path
        let file = path.appendingPath("config.json")
        var reader = ConfigReader(json: try FileSystem.json(file, takesPythonWords: true), file: file)
        guard reader.json["model_type"]?.string != nil else { throw reader.malformed("model_type is missing") }
        configuration = reader.json
        if let text = reader.json["text_config"] {
            guard isTextAlone else { throw reader.unsupported("a model of several parts; save its text part alone") }
            reader = ConfigReader(json: text, file: file)
        }
        if !isTextAlone { try reader.refuseUnsupported() }
        vocabularySize = try reader.int("vocab_size")
        guard let context = try Self.contextKeys.compactMap({ try reader.optionalInt($0) }).first else {
            throw reader.unsupported("it names no context (\(Self.contextKeys.joined(separator: ", ")))")
        }
        contextLength = context
        for (name, value) in [("vocab_size", vocabularySize), ("the context", context)] {
            guard (1...1 << 30).contains(value) else { throw reader.malformed("\(name) is \(value)") }
        }
        var readers = [reader]
        let generation = path.appendingPath("generation_config.json")
        if FileSystem.isFile(generation) {
            readers.append(ConfigReader(json: try FileSystem.json(generation), file: generation))
        }
        var ends: [Int] = [], begins: [Int] = []
        for reader in readers {
            for id in try reader.tokenIDs("eos_token_id") where !ends.contains(id) { ends.append(id) }
            begins += try reader.tokenIDs("bos_token_id")
        }
        for id in ends where id >= vocabularySize {
            throw reader.malformed("eos_token_id \(id) is outside the vocabulary")
        }
        self.ends = ends
        begin = begins.first { [vocabularySize] in $0 < vocabularySize }
        let isTied = try reader.bool("tie_word_embeddings", default: false)
        parameters =
            isTextAlone ? [] : try Self.parameters(Self.source(path), in: path, isTied: isTied)
        let byToken = parameters.filter { [vocabularySize] in $0.shape.count == 2 && $0.shape[0] == vocabularySize }
        hasOwnHead = !isTied && byToken.count > 1
    }

    private static func source(_ path: String) throws -> SafetensorsSource {
        try SafetensorsSource(folder: path, isVerbatim: true)
    }

    /// The weights of the files, in their order, without what is computed anew or stands twice.
    private static func parameters(
        _ source: SafetensorsSource, in path: String, isTied: Bool
    ) throws -> [ParameterSpec] {
        try source.names.compactMap { name in
            guard let shape = source.shape(of: name), let type = source.type(of: name) else { return nil }
            if name.hasSuffix("inv_freq") || name.hasSuffix("masked_bias") { return nil }
            // A mask of positions, [1, 1, context, context].
            if shape.count == 4, shape[0] == 1, shape[1] == 1 { return nil }
            if isTied, name == "lm_head.weight" { return nil }
            guard weightTypes.contains(type) else {
                if ["BOOL", "U8", "I64", "I32"].contains(type) { return nil }
                throw ModelError(.unsupported, "\(path): tensor '\(name)' of type \(type) is not supported")
            }
            guard !shape.isEmpty, !shape.contains(0) else {
                throw ModelError(.unsupported, "\(path): tensor '\(name)' of shape \(shape) is not supported")
            }
            return ParameterSpec(name: name, shape: shape, initialization: .zeros)
        }
    }

    /// Its tokenizer, with the tokens that start and end a sequence.
    package func loadTokenizer() throws -> Tokenizer {
        var tokenizer = try ModelFiles.openTokenizer(path)
        try tokenizer.check(fits: vocabularySize, of: path)
        tokenizer.endOfSequenceIDs = ends.map(Int32.init)
        tokenizer.beginOfSequenceID = begin.map(Int32.init)
        return tokenizer
    }

    /// The chat templates that the model brings, with its special tokens.
    package func chatTemplates() throws -> ModelTemplates { try ModelFiles.chatTemplates(folder: path) }

    /// A fingerprint of the names and values of all weights, whatever the files are called and however they store them.
    /// Reads all of them.
    package func fingerprint() throws -> UInt64 {
        let reader = TensorReader(try Self.source(path), of: path)
        var fingerprint = FNVHash()
        for name in parameters.map(\.name).sorted() {
            fingerprint.add(name)
            fingerprint.add(try reader.values(of: name))
        }
        return fingerprint.value
    }

    /// Where each of its weights lies in a version that is sent out.
    /// - Parameter matrixType: of all but vectors, which are f32.
    package func manifest(matrixType: ElementType) -> BroadcastLayout {
        ParameterLayout(parameters, matrixType: matrixType).manifest
    }
}

extension Tokenizer {
    /// Refuses a tokenizer with more tokens than a model has embeddings.
    func check(fits vocabularySize: Int, of path: String) throws {
        guard self.vocabularySize > vocabularySize else { return }
        throw ModelError(
            .malformed, "\(path): the tokenizer has \(self.vocabularySize) tokens, the model \(vocabularySize)")
    }
}
