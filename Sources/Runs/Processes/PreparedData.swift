import Configuration
import Distillation
import Models
import Tokenizers
import Wording

/// Prompts rendered and tokenised for one student, and what ends its answers.
struct PreparedData {
    /// To train on; for a supervised run, what stands for its examples.
    var prompts: [Prompt]
    var heldout: [Prompt]
    /// What a supervised run imitates; nil for others.
    var examples: (any ExampleSource)?
    var stopTokenIDs: [Int32]
    var tokenizer: Tokenizer

    /// - Throws: what is wrong with a prompt file, a prompt that does not fit, a teacher that reads other text than the
    ///   student: all before any work is handed out.
    init(_ configuration: RunConfiguration, student: ModelFiles) throws {
        let tokenizer = try student.loadTokenizer()
        let reader = try PromptReader(configuration, student: student, tokenizer: tokenizer)
        let teachers = try configuration.usedTeachers.sorted { $0.key < $1.key }
            .map { (label: $0.key, files: try ModelFiles.open($0.value.model)) }
        for teacher in teachers {
            try Self.check(
                teacher, readsAs: student, tokenizer,
                configuration.data.template == .auto ? reader.template : nil)
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
        self.tokenizer = tokenizer
    }

    /// Whether any response is judged by a verifier.
    var hasVerifiers: Bool { (prompts + heldout).contains { $0.check != nil } }

    private typealias Teacher = (label: String, files: ModelFiles)

    /// A teacher that samples must have room for it.
    private static func check(
        _ teacher: Teacher, hasRoomFor prompts: [Prompt], maxTokens: Int
    ) throws(UsageError) {
        let longest = prompts.filter { $0.sampler == teacher.label }.map(\.ids.count).max() ?? 0
        let context = teacher.files.configuration.maxPositions
        guard longest + maxTokens <= context else {
            throw UsageError(
                "teachers.\(teacher.label): a prompt has \(longest) tokens, which with sampling.max_tokens "
                    + "\(maxTokens) do not fit into the teacher's context of \(context); shorten it or lower "
                    + "sampling.max_tokens")
        }
    }

    /// A teacher must read the very ids and the very format that the student writes.
    /// - Parameter template: the student's own; nil: one that the configuration names for both.
    private static func check(
        _ teacher: Teacher, readsAs student: ModelFiles, _ tokenizer: Tokenizer, _ template: ChatTemplate?
    ) throws {
        guard try teacher.files.loadTokenizer().fingerprint == tokenizer.fingerprint else {
            throw UsageError(
                "teachers.\(teacher.label): \(teacher.files.path) has another tokenizer than the student "
                    + "\(student.path); grades are by token id, so both need the same one")
        }
        guard let template else { return }
        guard try teacher.files.chatTemplate() == template else {
            throw UsageError(
                "teachers.\(teacher.label): \(teacher.files.path) has another chat template than the student "
                    + "\(student.path); name the one both shall see with data.template")
        }
    }
}
