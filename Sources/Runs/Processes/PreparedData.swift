import Configuration
import Distillation
import Engines
import Tokenizers
import Wording

/// Prompts rendered and tokenised for one student, and what ends its answers.
struct PreparedData {
    /// The prompts to train on; for a supervised run, what stands for its examples.
    var prompts: [Prompt]
    var heldout: [Prompt]
    /// What a supervised run imitates; nil for others.
    var examples: (any ExampleSource)?
    var stopTokenIDs: [Int32]
    var tokenizer: Tokenizer
    /// What a person should know of how the prompts were read, a line each.
    var notes: [String]

    /// - Throws: what is wrong with a prompt file, a prompt that does not fit, a teacher that reads other text than the
    ///   student: all before any work is handed out.
    init(_ configuration: RunConfiguration, _ models: DescribedModels) throws {
        var reader = try PromptReader(configuration, models)
        let teachers = models.teachers.sorted { $0.key < $1.key }.map { (label: $0.key, model: $0.value) }
        for teacher in teachers {
            try Self.check(teacher, readsAs: models.student)
        }
        if configuration.kind.sampler == .nobody {
            (examples, prompts) = try reader.examples()
        } else {
            prompts = try reader.training()
        }
        heldout = try reader.heldout()
        stopTokenIDs = reader.stopTokenIDs
        tokenizer = reader.text.tokenizer
        notes = reader.notes
    }

    /// Whether any response is judged by a verifier.
    var hasVerifiers: Bool { (prompts + heldout).contains { $0.check != nil } }

    private typealias Teacher = (label: String, model: ModelDescription)

    /// A teacher must read the very ids that the student writes; ``TemplateChecks`` looks at their form.
    private static func check(_ teacher: Teacher, readsAs student: ModelDescription) throws(UsageError) {
        guard teacher.model.tokenizerFingerprint == student.tokenizerFingerprint else {
            throw UsageError(
                "teachers.\(teacher.label): \(teacher.model.name) has another tokenizer than the student "
                    + "\(student.name); grades are by token id, so both need the same one")
        }
    }
}
