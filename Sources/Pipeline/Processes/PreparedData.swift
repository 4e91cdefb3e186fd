import Configuration
import Distillation
import Models
import Tokenizers

/// Prompts rendered and tokenised for one student, and what ends its answers.
struct PreparedData {
    /// To train on; for a supervised run, what stands for its examples.
    var prompts: [Distillation.Prompt]
    var heldout: [Distillation.Prompt]
    /// What a supervised run imitates; nil for others.
    var examples: (any ExampleSource)?
    var stopTokenIDs: [Int32]
    var tokenizer: Tokenizer

    /// - Throws: what is wrong with a prompt file, a prompt that does not fit, a teacher that reads other text than the
    ///   student: all before any work is handed out.
    init(_ configuration: RunConfiguration, student: ModelFiles) throws {
        let tokenizer = try student.loadTokenizer()
        let reader = try PromptReader(configuration, student: student, tokenizer: tokenizer)
        try Self.checkTeachers(configuration, student: student, tokenizer: tokenizer, template: reader.template)
        if configuration.objective.kind == .supervised {
            (examples, prompts) = try reader.examples()
        } else {
            prompts = try reader.training()
        }
        heldout = try reader.heldout()
        try Self.checkContext(configuration, prompts)
        stopTokenIDs = reader.stopTokenIDs
        self.tokenizer = tokenizer
    }

    /// Whether any response is judged by a verifier.
    var hasVerifiers: Bool { (prompts + heldout).contains { $0.check != nil } }

    /// A teacher that samples must have room for it.
    private static func checkContext(_ configuration: RunConfiguration, _ prompts: [Distillation.Prompt]) throws {
        for (label, teacher) in configuration.usedTeachers where configuration.objective.kind.teachersSample {
            let longest = prompts.filter { $0.sampler == label }.map(\.ids.count).max() ?? 0
            let context = try ModelFiles.open(teacher.model).configuration.maxPositions
            guard longest + configuration.sampling.maxTokens <= context else {
                throw ProcessError.usage(
                    "teachers.\(label): a prompt has \(longest) tokens, which with sampling.max_tokens "
                        + "\(configuration.sampling.maxTokens) do not fit into the teacher's context of \(context); shorten "
                        + "it or lower sampling.max_tokens")
            }
        }
    }

    /// A teacher must read the very ids and the very format that the student writes.
    private static func checkTeachers(
        _ configuration: RunConfiguration, student: ModelFiles, tokenizer: Tokenizer, template: ChatTemplate
    ) throws {
        for (label, teacher) in configuration.usedTeachers.sorted(by: { $0.key < $1.key }) {
            let files = try ModelFiles.open(teacher.model)
            guard try files.loadTokenizer().fingerprint == tokenizer.fingerprint else {
                throw ProcessError.usage(
                    "teachers.\(label): \(teacher.model) has another tokenizer than the student \(student.path); "
                        + "grades are by token id, so both need the same one")
            }
            guard configuration.data.template == .auto else { continue }
            guard try files.chatTemplate() == template else {
                throw ProcessError.usage(
                    "teachers.\(label): \(teacher.model) has another chat template than the student \(student.path); "
                        + "name the one both shall see with data.template")
            }
        }
    }
}
