import Configuration
import Distillation
import Models
import Tokenizers

/// Prompts rendered and tokenised for one student, and what ends its answers.
struct PreparedData {
    var prompts: [Distillation.Prompt]
    var heldout: [Distillation.Prompt]
    var stopTokenIDs: [Int32]
    var tokenizer: Tokenizer

    /// - Throws: what is wrong with a prompt file, a prompt that does not fit, a teacher that reads other text than the
    ///   student: all before any work is handed out.
    init(_ configuration: RunConfiguration, student: ModelFiles) throws {
        let tokenizer = try student.loadTokenizer()
        let template = try student.chatTemplate(named: configuration.data.template.rawValue)
        try Self.checkTeachers(configuration, student: student, tokenizer: tokenizer, template: template)
        let room = student.configuration.maxPositions - configuration.sampling.maxTokens
        func read(_ path: String) throws -> [Distillation.Prompt] {
            try PromptFile.read(path, for: configuration).enumerated().map { index, prompt in
                let messages = prompt.messages.map { ChatMessage(role: $0.role, content: $0.content) }
                let text = template.render(messages, addGenerationPrompt: true)
                // A chat template writes its special tokens itself.
                let ids = try tokenizer.encode(text, addSpecialTokens: template.kind == .plain)
                guard !ids.isEmpty, ids.count <= room else {
                    throw ProcessError.usage(
                        ids.isEmpty
                            ? "\(path): prompt \(index + 1) has no tokens; give it some text"
                            : "\(path): prompt \(index + 1) has \(ids.count) tokens, but with sampling.max_tokens "
                                + "\(configuration.sampling.maxTokens) only \(max(room, 0)) fit into the student's context of "
                                + "\(student.configuration.maxPositions); shorten it or lower sampling.max_tokens")
                }
                return Distillation.Prompt(ids: ids, teacher: prompt.teacher, text: text)
            }
        }
        prompts = try read(configuration.data.prompts)
        heldout = configuration.data.heldout.isEmpty ? [] : try read(configuration.data.heldout)
        stopTokenIDs = student.stopTokenIDs(tokenizer, template)
        self.tokenizer = tokenizer
    }

    /// A teacher must read the very ids and the very format that the student writes.
    private static func checkTeachers(
        _ configuration: RunConfiguration, student: ModelFiles, tokenizer: Tokenizer, template: ChatTemplate
    ) throws {
        for (label, teacher) in configuration.teachers.sorted(by: { $0.key < $1.key }) {
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
