import Compute
import Models
import Transformers

extension Trainer {
    /// Writes the weights as a Hugging Face folder in f32, with what adapters add to them.
    /// - Parameter source: the model whose tokenizer and generation settings go with them.
    /// - Throws: `ModelError` when a file cannot be written (disk full).
    package func saveModel(to folder: String, copyingTokenizerFrom source: ModelFiles) throws {
        // Lives until the writer asks for the next. Merged here, not by the context's threads: another thread may train.
        var merged: Tensor?
        try ModelWriter.write(
            to: folder, configuration: configuration, type: .f32, copyingTokenizerFrom: source
        ) { spec in
            guard let adaptation else { return masters.values(masters.layout[spec.name]!) }
            merged = adaptation.adapters.merged(
                spec.name, base: adaptation.base.tensor(spec.name)!, context: context)
            return UnsafeBufferPointer(start: merged!.f32, count: merged!.count)
        }
    }

    /// Continues from weights that `saveModel` wrote.
    /// - Throws: `ModelError` naming the file or tensor that does not fit this model.
    package func loadModel(from folder: String) throws {
        try read(ModelFiles.open(folder), into: masters)
        guard isFinite else {
            throw ModelError(.tensor, "\(folder): a weight is not finite; use another checkpoint")
        }
        repack()
    }

    /// Reads all parameters of a model of this shape.
    func read(_ files: ModelFiles, into values: ParameterBuffer) throws {
        guard files.configuration.parameters == configuration.parameters else {
            throw ModelError(
                .invalidArgument,
                "\(files.path): this checkpoint is of a model of another shape than the run's student")
        }
        try values.read(files)
    }

    /// Writes the adapters alone, as Hugging Face's peft reads them; nothing when all weights are trained.
    /// - Parameter base: the model below them.
    /// - Throws: `ModelError` when a file cannot be written (disk full).
    package func saveAdapters(to folder: String, base: ModelFiles) throws {
        guard let adaptation else { return }
        try AdapterFolder.write(
            adaptation.adapters, to: folder, base: base, fingerprint: adaptation.snapshot.baseFingerprint)
    }

    /// Continues from adapters that `saveAdapters` wrote.
    /// - Throws: `ModelError` naming the file or tensor that does not fit this model.
    package func loadAdapters(from folder: String) throws {
        guard let adaptation else { preconditionFailure("no adapters are trained") }
        try AdapterFolder.read(folder, into: adaptation.adapters)
        guard isFinite else {
            throw ModelError(.tensor, "\(folder): an adapter is not finite; use another checkpoint")
        }
        repack()
    }

    /// Whether adapters that `saveAdapters` wrote were trained on the base weights that this has.
    /// - Throws: `ModelError` when there are none.
    package func hasBase(ofAdaptersIn folder: String) throws -> Bool {
        try AdapterFolder.baseFingerprint(in: folder) == adaptation?.snapshot.baseFingerprint
    }

    /// Whether adapters alone are trained.
    package var trainsAdapters: Bool { adaptation != nil }
}
