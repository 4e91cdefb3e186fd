import Engines
import Locking
import Models
import StudentWeights

/// Models of transformers, computed by torch in processes of their own.
package struct TorchEngineFactory: EngineFactory {
    private let reference: TorchReference
    /// What is asked about a model's files.
    private let native: any EngineFactory

    package init(_ reference: TorchReference, native: any EngineFactory) {
        self.reference = reference
        self.native = native
    }

    package func describe(_ model: ModelReference) async throws -> ModelDescription {
        switch try StudentFiles(model.path) {
        case .other(let folder): return try folder.describe()
        case .known(let files):
            var description = try await native.describe(model)
            // Positions of a longer sequence are turned by longrope's other factors, and those of its neighbours with
            // them.
            if let limit = files.configuration.longRopeAbove {
                description.contextLength = min(description.contextLength, limit)
            }
            return description
        }
    }

    package func trainer(
        _ model: ModelReference, _ options: TrainerOptions
    ) async throws -> any TrainingBackend & SupervisedBackend {
        guard options.averages.isEmpty else {
            throw EngineRefusal(
                .engine, "engine torch keeps no average of the weights (teachers.*.ema_decay); let engine native")
        }
        return try await started { try TorchTrainer(model, reference, options) }
    }

    package func sampler(_ model: ModelReference, _ options: SamplerOptions) async throws -> any RolloutBackend {
        guard !options.renewsCaches else { throw EngineRefusal(.engine, "engine torch computes no caches anew") }
        return try await started { try TorchSampler(model, reference, options) }
    }

    package func evaluator(
        _ model: ModelReference, _ options: SamplerOptions
    ) throws -> any RolloutBackend & ScoringBackend {
        throw EngineRefusal(.engine, "engine torch does not evaluate beside a learner; let engine native")
    }

    package func scorer(_ model: ModelReference, _ options: ScorerOptions) async throws -> any ScoringBackend {
        try await started { try TorchScorer(model, reference, options) }
    }

    package func create(_ shape: InitialShape, seed: UInt64, at path: String) throws -> Int {
        throw EngineRefusal(.engine, "engine torch makes no model from scratch; let engine native")
    }

    /// Waits for what Python does first on a thread that may wait.
    private func started<Engine: Sendable>(_ make: @escaping @Sendable () throws -> Engine) async throws -> Engine {
        try await onThread("torch start") { Result { try make() } }.get()
    }
}
