import Distillation
import Engines
import Telemetry
import Tokens
import Wire
import Wording

/// Answers problems with a model and judges the answers; one evaluation at a time.
package struct ModelEvaluator: Sendable {
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

    private let sampler: any RolloutBackend

    /// Loads the model.
    /// - Parameter slots: sequences sampled at once; changes no result.
    package init(
        _ model: ModelReference, threads: Int, slots: Int = 64, engines: EngineChoice = .standard
    ) async throws {
        sampler = try await engines.factory(for: model).sampler(
            model, SamplerOptions(slots: max(slots, 1), threads: threads))
    }

    /// What must be known of a model before it is evaluated.
    package static func describe(
        _ model: ModelReference, engines: EngineChoice = .standard
    ) async throws -> ModelDescription {
        try await engines.factory(for: model).describe(model)
    }

    /// The responses to every problem, in order; a function of the weights, the problems and the settings alone.
    func responses(to problems: ProblemSet, _ settings: Settings) async throws -> [[Trajectory]] {
        let sampling = SamplingSettings(
            maxTokens: problems.maxTokens, temperature: settings.temperature, stopTokenIDs: problems.stopTokenIDs)
        return try await sampler.responses(
            to: problems.items.enumerated().map { ($0, $1.promptIDs, .max) }, samples: settings.samples, sampling,
            seed: settings.seed)
    }

    /// Samples and judges.
    /// - Parameters:
    ///   - teacher: grades every token too; it must have the model's tokenizer.
    ///   - record: called with every response, in the order of the problems.
    package func evaluate(
        _ problems: ProblemSet, _ settings: Settings, teacher: (any ScoringBackend)? = nil,
        record: (EvaluationSample) throws -> Void = { _ in }
    ) async throws -> EvaluationReport {
        let responses = try await responses(to: problems, settings)
        var grades: [[[Float]]]?
        if let teacher { grades = try await Self.grades(teacher, problems, responses) }
        return EvaluationReport(
            try problems.items.indices.map { index in
                let item = problems.items[index]
                return try responses[index].indices.map { sample in
                    let response = responses[index][sample]
                    let kl = grades.map { grades in
                        reverseKL(policy: response.behaviourLogprobs, teacher: grades[index][sample]).reduce(0, +)
                    }
                    let text = problems.text(of: response.responseIDs)
                    let judged = JudgedResponse(
                        verdict: item.check?.verdict(on: text), tokens: response.responseIDs.count,
                        isTruncated: response.finishReason == .length, teacherKL: kl)
                    try record(
                        EvaluationSample(
                            messages: item.conversation.texts, response: text, check: item.check,
                            judged: judged))
                    return judged
                }
            })
    }

    /// Loads a model that grades another's tokens.
    /// - Throws: `UsageError` when it reads other tokens.
    package static func teacher(
        _ teacher: ModelReference, of model: ModelDescription, threads: Int, engines: EngineChoice = .standard
    ) async throws -> any ScoringBackend {
        let factory = engines.factory(for: teacher)
        let described = try await factory.describe(teacher)
        guard described.tokenizerFingerprint == model.tokenizerFingerprint else {
            let difference = described.text.flatMap { model.text?.tokenizer.difference(from: $0.tokenizer) }
            let reason = difference.map { ": \($0.described(here: "the model", there: "the teacher"))" } ?? ""
            throw UsageError(
                "\(teacher.path) has another tokenizer than \(model.name)\(reason); grades are by token id, so both need "
                    + "the same one")
        }
        return try await factory.scorer(teacher, ScorerOptions(threads: threads))
    }

    /// Log-probabilities of every response token under the teacher.
    private static func grades(
        _ teacher: any ScoringBackend, _ problems: ProblemSet, _ responses: [[Trajectory]]
    ) async throws -> [[[Float]]] {
        let tasks = zip(problems.items, responses).flatMap { item, samples in
            samples.map { sample in
                ScoreTask(
                    id: sample.id, kind: .evaluation, teacher: "",
                    tokens: TokenSequence(promptIDs: item.promptIDs, responseIDs: sample.responseIDs), leaseID: 0)
            }
        }
        var grades = try await teacher.score(tasks)[...]
        return responses.map { samples in
            defer { grades = grades.dropFirst(samples.count) }
            return Array(grades.prefix(samples.count))
        }
    }
}
