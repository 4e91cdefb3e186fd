import Configuration
import Distillation
import Engines
import Telemetry
import Wire

/// Answers to held-out prompts by models outside the pipeline, for what a person reads about a run.
struct HeldoutAnswers {
    private let configuration: RunConfiguration
    private let data: PreparedData
    private let engines: EngineChoice
    /// The teachers whose files are here.
    private let teachers: [String: RunConfiguration.Model]

    init(_ configuration: RunConfiguration, _ models: DescribedModels, _ data: PreparedData, _ engines: EngineChoice) {
        self.configuration = configuration
        self.data = data
        self.engines = engines
        teachers = configuration.usedTeachers.filter { models.teachers[$0.key] != nil }
    }

    /// The share of the held-out prompts with verifiers that their teachers answer right, sampled as the student's
    /// responses are; nil where nothing is judged, or nobody grades.
    func teacherPassRate() async throws -> Double? {
        let judged = data.heldout.indices.filter { data.heldout[$0].check != nil }
        var passed = 0, count = 0
        for (label, teacher) in teachers.sorted(by: { $0.key < $1.key }) {
            let indices = judged.filter { self.label(of: data.heldout[$0]) == label }
            guard !indices.isEmpty else { continue }
            let answers = try await answers(
                by: teacher.reference, asTeacher: label, to: indices,
                temperature: Float(configuration.sampling.temperature))
            passed += zip(indices, answers).count { isRight($1, at: $0) == true }
            count += indices.count
        }
        return count > 0 ? Double(passed) / Double(count) : nil
    }

    /// Some held-out prompts, answered without sampling by the student before and after and by the teacher: of those
    /// with verifiers the first few that it had wrong before, otherwise the first.
    /// - Parameter after: the folder of the model that was trained.
    func examples(after: String) async throws -> [RunSummary.Example] {
        guard !data.heldout.isEmpty else { return [] }
        let judged = data.heldout.indices.filter { data.heldout[$0].check != nil }.prefix(Self.candidates)
        var indices = judged.isEmpty ? [0] : Array(judged)
        let student = configuration.student.reference
        var before = try await answers(by: student, to: indices)
        let wrong = indices.indices.filter { isRight(before[$0], at: indices[$0]) == false }.prefix(Self.shown)
        let chosen = wrong.isEmpty ? [0] : Array(wrong)
        (indices, before) = (chosen.map { indices[$0] }, chosen.map { before[$0] })
        let learned = try await answers(by: ModelReference(path: after, type: student.type), to: indices)
        // Each teacher is loaded once, for all of its prompts.
        var taught: [Int: String] = [:]
        for (label, places) in Dictionary(grouping: indices, by: { label(of: data.heldout[$0]) }) {
            guard let label, let teacher = teachers[label] else { continue }
            for (index, text) in zip(places, try await answers(by: teacher.reference, asTeacher: label, to: places)) {
                taught[index] = text
            }
        }
        return indices.enumerated().map { place, index in
            let prompt = data.heldout[index]
            func attempt(_ text: String) -> RunSummary.Attempt { .init(text, isRight: isRight(text, at: index)) }
            return RunSummary.Example(
                prompt: prompt.question ?? prompt.text, before: attempt(before[place]),
                after: attempt(learned[place]), teacher: taught[index].map(attempt),
                answer: prompt.check.flatMap { $0.answer.isEmpty ? nil : $0.answer })
        }
    }

    /// Prompts among which those are looked for that the student had wrong, and how many of them are shown.
    private static let candidates = 32, shown = 3

    /// The label of the teacher that grades a prompt, or answers it in the student's place; nil without one.
    private func label(of prompt: Prompt) -> String? {
        prompt.teacher ?? prompt.sampler
    }

    /// The verifier's word on a response; nil without one.
    private func isRight(_ response: String, at index: Int) -> Bool? {
        data.heldout[index].check.map { $0.verdict(on: response).passed }
    }

    /// The responses of a model to the held-out prompts at these places, in order, special tokens left out.
    /// - Parameter label: the teacher's that it is, and then it reads what that is shown; nil: the student.
    private func answers(
        by model: ModelReference, asTeacher label: String? = nil, to indices: [Int], temperature: Float = 0
    ) async throws -> [String] {
        let pipeline = configuration.pipeline, own = label.flatMap { data.retokenized[$0] }
        let tokenizer = own?.tokenizer ?? data.tokenizer
        var settings = configuration.sampling.settings(stopTokenIDs: own?.stopTokenIDs ?? data.stopTokenIDs)
        settings.temperature = temperature
        let sampler = try await engines.factory(for: model).sampler(
            model, SamplerOptions(slots: min(pipeline.slots, indices.count), threads: pipeline.threadCount))
        return try await sampler.responses(
            to: indices.map { index in
                let prompt = data.heldout[index]
                return (index, label == nil ? prompt.ids : prompt.idsForTeacher, prompt.room)
            }, settings, seed: configuration.seed
        ).map { tokenizer.decode($0[0].responseIDs, skipSpecialTokens: true) }
    }
}
