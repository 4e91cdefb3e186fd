import Compute
import Distillation
import Generation
import Models
import Telemetry
import Wording

/// Answers problems with a model and judges the answers. Belongs to one thread.
package final class ModelEvaluator {
    /// How answers are sampled.
    package struct Settings: Sendable, Equatable {
        /// Samples a problem.
        package var samples: Int
        /// 0 takes the most probable token.
        package var temperature: Float
        package var seed: UInt64

        package init(samples: Int = 1, temperature: Float = 1, seed: UInt64 = 1) {
            self.samples = samples
            self.temperature = temperature
            self.seed = seed
        }
    }

    private let model: LanguageModel
    private let slots: Int

    /// - Parameter slots: sequences sampled at once; changes no result.
    package init(_ files: ModelFiles, type: ElementType, threads: Int, slots: Int = 64) throws {
        model = try LanguageModel(files, type: type, threads: threads)
        self.slots = slots
    }

    /// The responses to every problem, in order; a function of the weights, the problems and the settings alone.
    func responses(to problems: ProblemSet, _ settings: Settings) throws -> [[CompletedSample]] {
        let parameters = SamplingSettings(
            maxTokens: problems.maxTokens, temperature: settings.temperature, stopTokenIDs: problems.stopTokenIDs)
        return try model.responses(
            to: problems.items.enumerated().map { ($0, $1.promptIDs) }, samples: settings.samples, parameters,
            seed: settings.seed, slots: max(slots, 1))
    }

    /// Samples and judges.
    /// - Parameters:
    ///   - teacher: grades every token too; it must have the model's tokenizer.
    ///   - record: called with every response, in the order of the problems.
    package func evaluate(
        _ problems: ProblemSet, _ settings: Settings, teacher: LanguageModel? = nil,
        record: (EvaluationSample) throws -> Void = { _ in }
    ) throws -> EvaluationReport {
        let responses = try responses(to: problems, settings)
        let grades = try teacher.map { try Self.grades($0, problems, responses) }
        return EvaluationReport(
            try problems.items.indices.map { index in
                let item = problems.items[index]
                return try responses[index].indices.map { sample in
                    let response = responses[index][sample]
                    let kl = grades.map { grades in
                        reverseKL(policy: response.logprobs, teacher: grades[index][sample]).reduce(0, +)
                    }
                    let text = problems.text(of: response.ids)
                    let judged = JudgedResponse(
                        verdict: item.check?.verdict(on: text), tokens: response.ids.count,
                        isTruncated: response.finishReason == .length, teacherKL: kl)
                    try record(
                        EvaluationSample(
                            messages: item.messages.map { ($0.role, $0.content) }, response: text, check: item.check,
                            judged: judged))
                    return judged
                }
            })
    }

    /// Loads a model that grades another's tokens.
    /// - Throws: `UsageError` when it reads other tokens.
    package static func teacher(
        _ path: String, of model: ModelFiles, type: ElementType, threads: Int
    ) throws -> LanguageModel {
        let files = try ModelFiles.open(path)
        guard try files.loadTokenizer().fingerprint == model.loadTokenizer().fingerprint else {
            throw UsageError(
                "\(path) has another tokenizer than \(model.path); grades are by token id, so both need the same one")
        }
        return try LanguageModel(files, type: type, threads: threads)
    }

    /// Log-probabilities of every response token under the teacher.
    private static func grades(
        _ teacher: LanguageModel, _ problems: ProblemSet, _ responses: [[CompletedSample]]
    ) throws -> [[[Float]]] {
        let starts = zip(problems.items, responses).flatMap { item, samples in
            samples.map { _ in item.promptIDs.count }
        }
        let sequences = zip(problems.items, responses).flatMap { item, samples in
            samples.map { item.promptIDs + $0.ids }
        }
        var grades = try ScoringEngine(model: teacher).score(sequences, from: starts)[...]
        return responses.map { samples in
            defer { grades = grades.dropFirst(samples.count) }
            return Array(grades.prefix(samples.count))
        }
    }
}
