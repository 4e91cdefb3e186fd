import Models

extension Trainer {
    /// Writes the master weights as a Hugging Face folder in f32.
    /// - Parameter source: the model whose tokenizer and generation settings go with them.
    /// - Throws: `ModelError` when a file cannot be written (disk full).
    public func saveModel(to folder: String, copyingTokenizerFrom source: ModelFiles) throws {
        try ModelWriter.write(
            to: folder, configuration: configuration, type: .f32, copyingTokenizerFrom: source
        ) { masters.values(masters.layout[$0.name]!) }
    }

    /// Continues from weights that `saveModel` wrote.
    /// - Throws: `ModelError` naming the file or tensor that does not fit this model.
    public func loadModel(from folder: String) throws {
        let files = try ModelFiles.open(folder)
        guard files.configuration.parameters == configuration.parameters else {
            throw ModelError(
                .invalidArgument,
                "\(folder): this checkpoint is of a model of another shape than the run's student")
        }
        try masters.read(files)
        guard isFinite else {
            throw ModelError(.tensor, "\(folder): a weight is not finite; use another checkpoint")
        }
        repack()
    }
}
