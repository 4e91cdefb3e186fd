import Tokenizers

/// Who computes: an engine that can be chosen for a model.
///
/// Errors name what is wrong with the model's files; an ``EngineRefusal`` is what does not fit and the user can mend.
package protocol EngineFactory: Sendable {
    /// What a run must know of a model before it starts, without loading its weights.
    func describe(_ model: ModelReference) async throws -> ModelDescription

    /// The tokenizer at a model's path, where weights need not be; nil: this engine knows of none.
    func tokenizer(of model: ModelReference) async throws -> Tokenizer?

    /// The tokenizer and the chat templates at a model's path, where weights need not be; nil: this engine knows of none.
    func text(of model: ModelReference) async throws -> ModelText?

    /// A student to be trained, by either kind of run.
    func trainer(
        _ model: ModelReference, _ options: TrainerOptions
    ) async throws -> any TrainingBackend & SupervisedBackend

    /// A model that samples: a student, or a teacher that it imitates.
    func sampler(_ model: ModelReference, _ options: SamplerOptions) async throws -> any RolloutBackend

    /// A student that samples and scores beside its learner, with the weights that are trained.
    func evaluator(
        _ model: ModelReference, _ options: SamplerOptions
    ) async throws -> any RolloutBackend & ScoringBackend

    /// A teacher that grades.
    func scorer(_ model: ModelReference, _ options: ScorerOptions) async throws -> any ScoringBackend

    /// Writes a model from scratch as a Hugging Face folder, unless there is one. Equal shapes and seeds give equal
    /// files.
    /// - Returns: the number of its parameters.
    func create(_ shape: InitialShape, seed: UInt64, at path: String) async throws -> Int
}

extension EngineFactory {
    package func tokenizer(of model: ModelReference) async throws -> Tokenizer? {
        try await describe(model).text?.tokenizer
    }

    package func text(of model: ModelReference) async throws -> ModelText? { try await describe(model).text }
}
