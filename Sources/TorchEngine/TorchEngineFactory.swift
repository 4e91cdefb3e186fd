import Distillation
import Engines
import Locking
import Models

/// Models of transformers, trained by torch in processes of their own.
package struct TorchEngineFactory: EngineFactory {
    private let reference: TorchReference

    package init(_ reference: TorchReference) { self.reference = reference }

    package func describe(_ model: ModelReference) throws -> ModelDescription {
        let files = try ModelFiles.open(model.path)
        let configuration = files.configuration
        return ModelDescription(
            name: model.path,
            text: ModelText(tokenizer: try files.loadTokenizer(), template: try files.chatTemplate()),
            contextLength: configuration.maxPositions, vocabularySize: configuration.vocabularySize,
            forwardCost: PassCost { configuration.forwardOperations(prompt: $0, response: $1) })
    }

    package func trainer(
        _ model: ModelReference, _ options: TrainerOptions
    ) async throws -> any TrainingBackend & SupervisedBackend {
        // Python takes its time.
        let reference = reference
        return try await onThread("torch start") { Result { try TorchTrainer(model, reference, options) } }.get()
    }

    package func sampler(_ model: ModelReference, _ options: SamplerOptions) throws -> any RolloutBackend {
        throw Self.trainsOnly
    }

    package func evaluator(
        _ model: ModelReference, _ options: SamplerOptions
    ) throws -> any RolloutBackend & ScoringBackend {
        throw Self.trainsOnly
    }

    package func scorer(_ model: ModelReference, _ options: ScorerOptions) async throws -> any ScoringBackend {
        let reference = reference
        return try await onThread("torch start") { Result { try TorchScorer(model, reference, options) } }.get()
    }

    package func create(_ shape: InitialShape, seed: UInt64, at path: String) throws -> Int { throw Self.trainsOnly }

    private static let trainsOnly = EngineRefusal(
        .engine, "the torch engine trains and scores only; let another engine sample")
}
