import Configuration
import Distillation
import Engines
import Tokenizers

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
    /// Which tokenizers teachers may have beside the student's.
    let teacherTokenizers: TeacherTokenizers
    /// The teachers with other tokenizers.
    let retokenized: RetokenizedTeachers
    /// How the models' templates agree on these prompts.
    let templates: TemplateChecks

    /// - Throws: what is wrong with a prompt file, a prompt that does not fit, a teacher that reads other text than the
    ///   student: all before any work is handed out.
    init(_ configuration: RunConfiguration, _ models: DescribedModels) throws {
        var reader = try PromptReader(configuration, models)
        var tokenizers = TeacherTokenizers(configuration, reader.text.tokenizer)
        for (label, model) in configuration.usedTeachers.sorted(by: { $0.key < $1.key }) {
            try tokenizers.check(
                models.teacherTokenizers[label], fingerprint: models.teachers[label]?.tokenizerFingerprint,
                of: label, named: models.teachers[label]?.name ?? model.tokenizer ?? label,
                student: models.student.name)
        }
        if configuration.kind.sampler == .nobody {
            (examples, prompts) = try reader.examples()
        } else {
            prompts = try reader.training()
        }
        heldout = try reader.heldout()
        try tokenizers.check(reading: prompts + heldout)
        teacherTokenizers = tokenizers
        retokenized = reader.retokenized
        templates = try TemplateChecks(configuration, models, reader.rendered, retokenized)
        stopTokenIDs = reader.stopTokenIDs
        tokenizer = reader.text.tokenizer
        notes = retokenized.notes + reader.notes
    }

    /// Whether any response is judged, by a verifier or by an environment.
    var hasVerifiers: Bool { (prompts + heldout).contains { $0.check != nil || $0.episode != nil } }
}
