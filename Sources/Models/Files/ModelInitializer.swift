import Files
import JSON
import Randomness
import Tokenizers

/// The shape of a model that is made from scratch: a Llama that reads bytes, with tied embeddings.
package struct ModelShape: Sendable, Equatable {
    package var layers: Int
    /// Width of the residual stream; a multiple of `heads`.
    package var hidden: Int
    package var heads: Int
    /// Divides `heads`.
    package var keyValueHeads: Int
    /// Width of the feed-forward layers.
    package var intermediate: Int
    /// Longest sequence, in tokens.
    package var context: Int

    package init(layers: Int, hidden: Int, heads: Int, keyValueHeads: Int, intermediate: Int, context: Int) {
        self.layers = layers
        self.hidden = hidden
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.intermediate = intermediate
        self.context = context
    }

    /// - Throws: `ModelError` when the sizes do not fit each other; `source` is named in it.
    package func configuration(source: String) throws -> ModelConfiguration {
        guard heads > 0, hidden % heads == 0 else {
            throw ModelError(.invalidArgument, "\(source): hidden \(hidden) is not a multiple of heads \(heads)")
        }
        let configuration = ModelConfiguration(
            family: .llama, vocabularySize: 256 + ModelInitializer.specialTokens.count, hiddenSize: hidden,
            intermediateSize: intermediate, layerCount: layers, headCount: heads, keyValueHeadCount: keyValueHeads,
            headDimension: hidden / heads, rmsNormEpsilon: 1e-5, maxPositions: context, tiedEmbeddings: true,
            padTokenID: 256, eosTokenIDs: [256])
        try configuration.validate(in: source)
        return configuration
    }
}

/// Makes models from scratch.
package enum ModelInitializer {
    /// The token that ends a response.
    static let specialTokens = ["<|end|>"]

    /// Writes a Hugging Face folder with random f32 weights and a tokenizer of bytes. Equal shapes and seeds give equal
    /// files, on every machine.
    /// - Throws: `ModelError` when the sizes do not fit or a file cannot be written.
    package static func write(to folder: String, shape: ModelShape, seed: UInt64) throws {
        let configuration = try shape.configuration(source: folder)
        try FileSystem.createFolder(folder)
        for (name, text) in tokenizerFiles(context: shape.context) {
            try FileSystem.write(text, to: folder.appendingPath(name))
        }
        var buffer = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
        defer { buffer.deallocate() }
        var index: UInt64 = 0
        // The configuration comes last, so that a folder with one is whole.
        try ModelWriter.write(to: folder, configuration: configuration, type: .f32) { parameter in
            // The writer is done with a buffer when it asks for the next.
            buffer.deallocate()
            buffer = .allocate(capacity: parameter.count)
            var random = SplitMix64(seed: seed, stream: index)
            index += 1
            parameter.initialization.fill(
                buffer, inputs: parameter.columns, layers: shape.layers, random: &random)
            return UnsafeBufferPointer(buffer)
        }
    }

    private static func tokenizerFiles(context: Int) -> [(name: String, text: String)] {
        let definition = TokenizerDefinition.bytes(specialTokens: specialTokens)
        let config: JSONValue = [
            "eos_token": .string(specialTokens[0]), "pad_token": .string(specialTokens[0]),
            "clean_up_tokenization_spaces": false, "model_max_length": .integer(context),
            "tokenizer_class": "PreTrainedTokenizerFast",
        ]
        return [
            ("tokenizer.json", definition.json.text() + "\n"), ("tokenizer_config.json", config.text() + "\n"),
        ]
    }
}
