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

    /// - Throws: what is wrong with a prompt file, a prompt that does not fit, a teacher that reads other text than the
    ///   student: all before any work is handed out.
    init(_ configuration: RunConfiguration, _ models: DescribedModels) throws {
        let reader = try PromptReader(configuration, student: models.student)
        let teachers = models.teachers.sorted { $0.key < $1.key }.map { (label: $0.key, model: $0.value) }
        for teacher in teachers {
            try Self.check(teacher, readsAs: models.student, needsTemplate: configuration.data.template == .auto)
        }
        if configuration.kind.sampler == .nobody {
            (examples, prompts) = try reader.examples()
        } else {
            prompts = try reader.training()
        }
        heldout = try reader.heldout()
        for teacher in teachers where configuration.kind.sampler == .teachers {
            try Self.check(teacher, hasRoomFor: prompts, maxTokens: configuration.sampling.maxTokens)
        }
        stopTokenIDs = reader.stopTokenIDs
        tokenizer = reader.text.tokenizer
    }

    /// Whether any response is judged by a verifier.
    var hasVerifiers: Bool { (prompts + heldout).contains { $0.check != nil } }

    private typealias Teacher = (label: String, model: ModelDescription)

    /// A teacher that samples must have room for it.
    private static func check(
        _ teacher: Teacher, hasRoomFor prompts: [Prompt], maxTokens: Int
    ) throws(UsageError) {
        let longest = prompts.filter { $0.sampler == teacher.label }.map(\.ids.count).max() ?? 0
        let context = teacher.model.contextLength
        guard longest + maxTokens <= context else {
            throw UsageError(
                "teachers.\(teacher.label): a prompt has \(longest) tokens, which with sampling.max_tokens "
                    + "\(maxTokens) do not fit into the teacher's context of \(context); shorten it or lower "
                    + "sampling.max_tokens")
        }
    }

    /// A teacher must read the very ids and the very format that the student writes.
    /// - Parameter needsTemplate: whether each renders with its own template, and the configuration names none for both.
    private static func check(
        _ teacher: Teacher, readsAs student: ModelDescription, needsTemplate: Bool
    ) throws(UsageError) {
        guard teacher.model.tokenizerFingerprint == student.tokenizerFingerprint else {
            throw UsageError(
                "teachers.\(teacher.label): \(teacher.model.name) has another tokenizer than the student "
                    + "\(student.name); grades are by token id, so both need the same one")
        }
        guard !needsTemplate || teacher.model.templateIdentity == student.templateIdentity else {
            throw UsageError(
                "teachers.\(teacher.label): \(teacher.model.name) has another chat template than the student "
                    + "\(student.name); name the one both shall see with data.template")
        }
    }
}
