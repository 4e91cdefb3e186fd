import Configuration
import Distillation
import Generation
import Logging
import Models
import Telemetry
import Tokenizers

extension LearnerProcess {
    /// What a person reads at the end: the figures, and one held-out prompt answered before, after and by the teacher.
    static func summary(
        _ outcome: LearnerOutcome, configuration: RunConfiguration, data: PreparedData, folder: RunFolder,
        resumeCommand: String, logger: Logger
    ) async -> RunSummary {
        let model = outcome.checkpoint.map { $0.path + "/model" }
        var summary = RunSummary(
            name: configuration.name, steps: Int(outcome.version), seconds: outcome.seconds,
            modelPath: model ?? configuration.student.model)
        summary.klBefore = outcome.before?.metrics.teacherKL
        summary.klAfter = outcome.after?.metrics.teacherKL
        summary.crossEntropyBefore = outcome.before?.metrics.crossEntropy
        summary.crossEntropyAfter = outcome.after?.metrics.crossEntropy
        summary.passBefore = outcome.before?.metrics.passRate
        summary.passAfter = outcome.after?.metrics.passRate
        summary.tokensGenerated = Int(outcome.tokens.generated)
        summary.tokensTrained = Int(outcome.tokens.trained)
        summary.tokensDiscarded = Int(outcome.tokens.discarded)
        summary.cost = outcome.cost
        if case .reached(let text) = outcome.end { summary.reached = text }
        switch outcome.end {
        case .completed, .reached:
            if let model {
                do {
                    summary.example = try example(configuration, data: data, after: model)
                } catch {
                    // The run itself is done and saved: a missing example is no failure.
                    logger.warning("no example answers: \(error)")
                }
            }
        case .stopped(let reason):
            summary.endedEarly = reason
            summary.resumeCommand = resumeCommand
        }
        return summary
    }

    /// Greedy answers to the first held-out prompt.
    private static func example(
        _ configuration: RunConfiguration, data: PreparedData, after: String
    ) throws -> RunSummary.Example? {
        guard let prompt = data.heldout.first else { return nil }
        let teacher = configuration.usedTeachers[prompt.teacher.isEmpty ? prompt.sampler : prompt.teacher]
        let asked =
            configuration.data.heldout.isEmpty
            ? nil : try PromptFile.read(configuration.data.heldout, for: configuration).first?.messages.last?.content
        func answer(_ path: String, _ dtype: RunConfiguration.DType) throws -> String {
            let model = try LanguageModel(
                ModelFiles.open(path), type: dtype.elementType, threads: configuration.pipeline.threadCount)
            let engine = GenerationEngine(model: model, slots: 1)
            let parameters = SamplingParameters(
                maxTokens: configuration.sampling.maxTokens, temperature: 0, stopTokenIDs: data.stopTokenIDs)
            try engine.submit([
                SampleRequest(id: 0, promptIDs: prompt.ids, seed: 0, stream: 0, sample: 0, parameters: parameters)
            ])
            return engine.run().map { data.tokenizer.decode($0.ids, skipSpecialTokens: true) }.joined()
        }
        return RunSummary.Example(
            prompt: asked ?? prompt.text, before: try answer(configuration.student.model, configuration.student.dtype),
            after: try answer(after, configuration.student.dtype),
            teacher: try teacher.map { try answer($0.model, $0.dtype) })
    }
}
