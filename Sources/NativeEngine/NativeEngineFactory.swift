import Compute
import Distillation
import Engines
import Foundation
import Models
import Rules
import StudentWeights
import Tokenizers
import Training
import Wire

/// The engine of this project: transformers on the CPUs of one machine.
package struct NativeEngineFactory: EngineFactory {
    package init() {}

    package func describe(_ model: ModelReference) throws -> ModelDescription {
        let files = try ModelFiles.open(model.path)
        let configuration = files.configuration
        let training = try model.adapters.map(files.adapterLayout).map { layout in
            PassCost {
                configuration.adapterTrainingOperations(prompt: $0, response: $1, adapters: layout)
            }
        }
        var description = ModelDescription(
            name: model.path,
            text: ModelText(tokenizer: try files.loadTokenizer(), templates: try files.chatTemplates()),
            contextLength: configuration.maxPositions, vocabularySize: configuration.vocabularySize,
            forwardCost: PassCost { configuration.forwardOperations(prompt: $0, response: $1) },
            trainingCost: training)
        description.leftOut = files.leftOut
        return description
    }

    package func tokenizer(of model: ModelReference) throws -> Tokenizer? {
        try ModelFiles.openTokenizer(model.path)
    }

    package func text(of model: ModelReference) throws -> ModelText? {
        let files = try TextFiles.open(model.path)
        return ModelText(tokenizer: files.tokenizer, templates: files.templates)
    }

    package func trainer(
        _ model: ModelReference, _ options: TrainerOptions
    ) throws -> any TrainingBackend & SupervisedBackend {
        let files = try ModelFiles.open(model.path), optimizer = options.optimizer
        return try StudentTrainer(
            files, type: ElementType(model.type), threads: options.threads,
            options: OptimizerOptions(
                beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon,
                weightDecay: optimizer.weightDecay, clipGradNorm: optimizer.clipGradNorm),
            tokenBudget: options.tokenBudget,
            adapters: try model.adapters.map { (try files.adapterLayout($0), $0.seed) },
            heads: try options.heads.mapValues { (try ModelFiles.open($0.path), ElementType($0.type)) },
            averages: options.averages)
    }

    package func sampler(_ model: ModelReference, _ options: SamplerOptions) throws -> any RolloutBackend {
        try evaluator(model, options)
    }

    package func evaluator(
        _ model: ModelReference, _ options: SamplerOptions
    ) throws -> any RolloutBackend & ScoringBackend {
        let files = try ModelFiles.open(model.path)
        return try StudentSampler(
            files, type: ElementType(model.type), options, adapters: try model.adapters.map(files.adapterLayout))
    }

    package func scorer(_ model: ModelReference, _ options: ScorerOptions) throws -> any ScoringBackend {
        try TeacherModel(ModelFiles.open(model.path), type: ElementType(model.type), threads: options.threads)
    }

    package func create(_ shape: InitialShape, seed: UInt64, at path: String) throws -> Int {
        let made = ModelShape(
            layers: shape.layers, hidden: shape.hidden, heads: shape.heads, keyValueHeads: shape.keyValueHeads,
            intermediate: shape.intermediate, context: shape.context)
        let expected: ModelConfiguration
        do {
            expected = try made.configuration(source: "shape")
        } catch {
            throw EngineRefusal(.shape, "\(error)")
        }
        if !FileManager.default.fileExists(atPath: "\(path)/config.json") {
            try ModelInitializer.write(to: path, shape: made, seed: seed)
        }
        return expected.parameterCount
    }
}

extension ElementType {
    init(_ type: WeightType) { self = type == .f32 ? .f32 : .bf16 }

    /// How weights of this type are named to other engines.
    var weightType: WeightType { self == .f32 ? .f32 : .bf16 }
}
