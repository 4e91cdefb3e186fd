import Compute
import Distillation
import Generation
import Models
import Rules
import Training
import Transformers

extension ModelMeasurement.Work {
    /// Loads the model; the closure does the work once.
    func prepared(
        _ files: ModelFiles, _ load: BenchmarkLoad, rank: Int, type: ElementType, threads: Int
    ) throws -> (context: ComputeContext, work: () throws -> Void) {
        let vocabulary = files.configuration.vocabularySize
        switch self {
        case .generate:
            let model = try LanguageModel(files, type: type, threads: threads)
            let engine = GenerationEngine(model: model, slots: load.batch)
            return (
                model.context,
                {
                    try engine.submit(
                        load.ids(load.prompt, vocabulary: vocabulary).enumerated().map {
                            SampleRequest(
                                id: UInt64($0), promptIDs: $1, seed: UInt64($0), sample: 0,
                                parameters: SamplingSettings(maxTokens: load.tokens[$0]))
                        })
                    _ = engine.run()
                }
            )
        case .score:
            let model = try LanguageModel(files, type: type, threads: threads)
            let engine = ScoringEngine(model: model)
            let sequences = load.ids(load.length, vocabulary: vocabulary)
            return (model.context, { _ = try engine.score(sequences) })
        case .train:
            let trainer = try trainer(files, rank: rank, type: type, threads: threads)
            let sequences = load.ids(load.length, vocabulary: vocabulary).map {
                TrainingSequence(
                    promptIDs: Array($0.prefix(load.prompt)), responseIDs: Array($0.dropFirst(load.prompt)))
            }
            let scale = -1 / Float(load.newTokens)
            return (
                trainer.context,
                {
                    _ = trainer.step(sequences, learningRate: 1e-6) { _, evaluation in
                        [Float](repeating: scale, count: evaluation.logprobs.count)
                    }
                }
            )
        }
    }

    /// A trainer of adapters, or with rank 0 of all weights.
    private func trainer(_ files: ModelFiles, rank: Int, type: ElementType, threads: Int) throws -> Trainer {
        let weights = try ParameterBuffer(reading: files)
        guard rank > 0 else {
            return Trainer(
                configuration: files.configuration, masters: weights, type: type, threads: threads)
        }
        let shape = AdapterShape(rank: rank, alpha: Float(rank), targets: Set(AdapterShape.Target.allCases))
        return Trainer(
            configuration: files.configuration, base: weights,
            adapters: Adapters(layout: try AdapterLayout(files.configuration, shape), seed: 1), type: type,
            threads: threads)
    }
}
