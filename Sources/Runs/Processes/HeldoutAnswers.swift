import Configuration
import Distillation
import Generation
import Models
import Telemetry

/// Answers to held-out prompts by models outside the pipeline, for what a person reads about a run. Blocks.
struct HeldoutAnswers {
    private let configuration: RunConfiguration
    private let data: PreparedData

    init(_ configuration: RunConfiguration, _ data: PreparedData) {
        self.configuration = configuration
        self.data = data
    }

    /// The share of the held-out prompts with verifiers that their teachers answer right, sampled as the student's
    /// responses are; nil where nothing is judged, or nobody grades.
    func teacherPassRate() throws -> Double? {
        let judged = data.heldout.indices.filter { data.heldout[$0].check != nil }
        var passed = 0, count = 0
        for (label, teacher) in configuration.usedTeachers.sorted(by: { $0.key < $1.key }) {
            let indices = judged.filter { self.label(of: data.heldout[$0]) == label }
            guard !indices.isEmpty else { continue }
            let answers = try answers(
                by: teacher.model, teacher.dtype, to: indices, temperature: Float(configuration.sampling.temperature))
            passed += zip(indices, answers).count { isRight($1, at: $0) == true }
            count += indices.count
        }
        return count > 0 ? Double(passed) / Double(count) : nil
    }

    /// Some held-out prompts, answered without sampling by the student before and after and by the teacher: of those
    /// with verifiers the first few that it had wrong before, otherwise the first.
    /// - Parameter after: the folder of the model that was trained.
    func examples(after: String) throws -> [RunSummary.Example] {
        guard !data.heldout.isEmpty else { return [] }
        let judged = data.heldout.indices.filter { data.heldout[$0].check != nil }.prefix(Self.candidates)
        var indices = judged.isEmpty ? [0] : Array(judged)
        let student = configuration.student
        var before = try answers(by: student.model, student.dtype, to: indices)
        let wrong = indices.indices.filter { isRight(before[$0], at: indices[$0]) == false }.prefix(Self.shown)
        let chosen = wrong.isEmpty ? [0] : Array(wrong)
        (indices, before) = (chosen.map { indices[$0] }, chosen.map { before[$0] })
        let learned = try answers(by: after, student.dtype, to: indices)
        let asked =
            configuration.data.heldout.isEmpty
            ? nil : try PromptFile.read(configuration.data.heldout, for: configuration)
        // Each teacher is loaded once, for all of its prompts.
        var taught: [Int: String] = [:]
        for (label, places) in Dictionary(grouping: indices, by: { label(of: data.heldout[$0]) }) {
            guard let teacher = configuration.usedTeachers[label] else { continue }
            for (index, text) in zip(places, try answers(by: teacher.model, teacher.dtype, to: places)) {
                taught[index] = text
            }
        }
        return indices.enumerated().map { place, index in
            let prompt = data.heldout[index]
            func attempt(_ text: String) -> RunSummary.Attempt { .init(text, isRight: isRight(text, at: index)) }
            return RunSummary.Example(
                prompt: asked?[index].messages.last?.content ?? prompt.text, before: attempt(before[place]),
                after: attempt(learned[place]), teacher: taught[index].map(attempt),
                answer: prompt.check.flatMap { $0.answer.isEmpty ? nil : $0.answer })
        }
    }

    /// Prompts among which those are looked for that the student had wrong, and how many of them are shown.
    private static let candidates = 32, shown = 3

    /// The label of the teacher that grades a prompt, or answers it in the student's place; empty without one.
    private func label(of prompt: Prompt) -> String {
        prompt.teacher.isEmpty ? prompt.sampler : prompt.teacher
    }

    /// The verifier's word on a response; nil without one.
    private func isRight(_ response: String, at index: Int) -> Bool? {
        data.heldout[index].check.map { $0.verdict(on: response).passed }
    }

    /// The responses of a model to the held-out prompts at these places, in order, special tokens left out.
    private func answers(
        by model: String, _ dtype: RunConfiguration.DType, to indices: [Int], temperature: Float = 0
    ) throws -> [String] {
        let pipeline = configuration.pipeline
        var parameters = configuration.sampling.settings(stopTokenIDs: data.stopTokenIDs)
        parameters.temperature = temperature
        return try LanguageModel(ModelFiles.open(model), type: dtype.elementType, threads: pipeline.threadCount)
            .responses(
                to: indices.map { ($0, data.heldout[$0].ids) }, parameters, seed: configuration.seed,
                slots: min(pipeline.slots, indices.count)
            ).map { data.tokenizer.decode($0[0].ids, skipSpecialTokens: true) }
    }
}
