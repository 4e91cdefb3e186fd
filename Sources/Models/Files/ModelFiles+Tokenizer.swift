import Files
import JSON
import Tokenizers

extension ModelFiles {
    /// The model's tokenizer, with the tokens that start and end a sequence.
    package func loadTokenizer() throws -> Tokenizer {
        var tokenizer: Tokenizer
        switch origin {
        case .folder: tokenizer = try Self.tokenizer(folder: path)
        case .gguf(let file):
            tokenizer = try Tokenizer(GGUFMetadata(file: file).tokenizerDefinition(), file: file.path)
        }
        try tokenizer.check(fits: configuration.vocabularySize, of: path)
        tokenizer.endOfSequenceIDs = configuration.eosTokenIDs.map(Int32.init)
        tokenizer.beginOfSequenceID = configuration.bosTokenID.map(Int32.init)
        return tokenizer
    }

    /// The tokenizer of a model folder, a tokenizer.json or a GGUF file; weights need not be there.
    package static func openTokenizer(_ path: String) throws -> Tokenizer {
        if FileSystem.isDirectory(path) {
            let json = path.appendingPath("tokenizer.json")
            if FileSystem.isFile(json) || FileSystem.isFile(path.appendingPath("tokenizer.model")) {
                return try tokenizer(folder: path)
            }
            return try open(path).loadTokenizer()
        }
        guard FileSystem.isFile(path) else {
            throw ModelError(.unreadable, "\(path): no such model folder, tokenizer.json or GGUF file")
        }
        if path.hasSuffix(".json") { return try Tokenizer(json: try FileSystem.read(path), file: path) }
        return try Tokenizer(GGUFMetadata(file: try GGUFFile(path)).tokenizerDefinition(), file: path)
    }

    /// The tokenizer of a folder: its tokenizer.json, with the tokens that the files beside it name.
    private static func tokenizer(folder: String) throws -> Tokenizer {
        let path = folder.appendingPath("tokenizer.json")
        guard FileSystem.isFile(path) else {
            if FileSystem.isFile(folder.appendingPath("tokenizer.model")) {
                throw ModelError(
                    .unsupported,
                    "\(folder): tokenizer.model without tokenizer.json is not supported; transformers' "
                        + "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes tokenizer.json beside it"
                )
            }
            throw ModelError(.unreadable, "\(path): missing; this model needs its tokenizer.json")
        }
        var definition: TokenizerDefinition
        do {
            definition = try TokenizerDefinition(json: try JSONValue.parse(try FileSystem.read(path)), file: path)
        } catch let error as JSONError {
            throw TokenizerError(.malformed, "\(path): \(error)")
        }
        try AddedTokenFiles(folder: folder).complete(&definition)
        return try Tokenizer(definition, file: path)
    }
}
