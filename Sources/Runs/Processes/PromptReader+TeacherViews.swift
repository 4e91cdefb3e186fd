import Configuration
import Distillation
import Templates
import Wording

/// What a prompt is made of, before it is rendered.
struct PromptSource {
    var chat: Conversation
    /// Labels of its teachers.
    var teachers: [String]
    /// What only teachers are shown, by label.
    var contexts: [String: String] = [:]
    var check: AnswerCheck?
    /// A response whose cross-entropy is measured, where the learner evaluates.
    var response: String?
    /// What is asked, for a person; nil: the whole text.
    var question: String?
    var tags: [String]
    /// What messages call it.
    var name: String
}

extension PromptSource {
    /// - Parameter contextFields: of a problem, those that only teachers are shown, by label.
    init(_ problem: Exercise, teachers: [String], contextFields: [String: String], named name: String) {
        self.init(chat: problem.chat, teachers: teachers, check: problem.check, tags: problem.tags, name: name)
        contexts = contextFields.compactMapValues { field in
            switch field {
            case "answer": problem.check.answer
            case "response": problem.response
            default: nil
            }
        }
    }
}

/// Fits prompts as the student reads them, and as teachers do that read others.
struct PromptFittings {
    var own: PromptFitting
    var teachers: PromptFitting

    init(_ fitting: PromptFitting) {
        own = fitting
        teachers = fitting
    }

    /// What a person should know of both, a line each; `name` is the file's.
    func notes(of name: String) throws(UsageError) -> [String] {
        try own.notes(of: name) + teachers.notes(of: "\(name), as its teachers read it")
    }
}

extension PromptReader {
    /// The conversation as a teacher is shown it; nil where the student is shown all of it.
    ///
    /// What is the teacher's alone stands at the end of the system message, an empty line before each part: first what
    /// the teacher is told in every prompt, then what it is shown of this one.
    func teacherConversation(
        _ source: PromptSource, of label: String
    ) throws -> (chat: Conversation, added: [String])? {
        guard let model = configuration.usedTeachers[label] else { return nil }
        let context = source.contexts[label]
        if model.contextField != nil, context?.isEmpty ?? true {
            throw UsageError(
                "\(source.name) has no '\(model.contextField ?? "")', which teachers.\(label).context_field names")
        }
        let added = [model.system, context].compactMap(\.self)
        guard !added.isEmpty else { return nil }
        let chat = source.chat.with(system: configuration.data.systemPrompt)
        return (added.reduce(chat) { $0.with(addedToSystem: $1) }, added)
    }

    /// What a teacher reads in the prompt's place, in its own tokens where these are not the student's; nil: the same.
    /// - Throws: `UsageError` where the chat template leaves out what the teacher is to be shown.
    func teacherView(
        _ source: PromptSource, of label: String
    ) throws -> (chat: Conversation, view: PromptView)? {
        let own = retokenized[label], shown = try teacherConversation(source, of: label)
        guard own != nil || shown != nil else { return nil }
        let (chat, added) = shown ?? (source.chat, [])
        let template = own?.template ?? template
        let text = try render(chat, named: source.name, with: template)
        for part in added where !text.contains(part.trimmed) {
            throw UsageError(
                "\(source.name): the chat template (\(template.reason)) leaves out what teachers."
                    + "\(label) is told in the system message; name another template with data.template")
        }
        let ids = try encode(text, with: template, own?.tokenizer)
        guard !ids.isEmpty else {
            throw UsageError("\(source.name) has no tokens for teachers.\(label); give it some text")
        }
        return (chat, PromptView(ids: ids, text: text))
    }
}

extension PromptReader {
    /// Checks that all of a prompt's teachers can do together what the run asks of them.
    func checkTogether(_ source: PromptSource) throws(UsageError) {
        guard source.teachers.count > 1 else { return }
        let names = source.teachers.joined(separator: ", "), objective = configuration.objective
        if configuration.kind.sampler == .teachers {
            throw UsageError(
                "\(source.name) has several teachers (\(names)), and with objective.kind "
                    + "\(objective.kind.rawValue) one answers it; name one")
        }
        if let use = objective.headUse {
            throw UsageError(
                "\(source.name) has several teachers (\(names)), and \(use) takes the hidden states of one; name one, or "
                    + "\(objective.headAlternative)")
        }
    }
}
