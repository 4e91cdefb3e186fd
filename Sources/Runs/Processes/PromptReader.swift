import Configuration
import Distillation
import Engines
import Tokenizers
import Wording

/// Reads what a run asks and imitates, from files or from a generated task, rendered and tokenised for its student.
struct PromptReader: Sendable {
    let configuration: RunConfiguration
    let text: ModelText
    /// Longest sequence of the student, in tokens.
    let context: Int
    let template: ChatTemplate
    let stopTokenIDs: [Int32]
    let task: ExerciseGenerator?

    /// Held-out problems are the same for every run of a task, and for `opd eval` unless it is told otherwise.
    static let heldoutSeed: UInt64 = 1

    init(_ configuration: RunConfiguration, student: ModelDescription) throws {
        guard let text = student.text else {
            throw UsageError("student.model: the tokenizer of \(student.name) must be on this machine; give its folder")
        }
        self.configuration = configuration
        self.text = text
        context = student.contextLength
        template = try text.template(named: configuration.data.template.rawValue)
        stopTokenIDs = text.stopTokenIDs(template)
        task = configuration.data.task.isEmpty ? nil : try ExerciseGenerator.named(configuration.data.task)
    }

    private var tokenizer: Tokenizer { text.tokenizer }
    /// The teacher of what names none; empty where there are none.
    private var defaultTeacher: String { configuration.usedTeachers.isEmpty ? "" : configuration.defaultTeacher ?? "" }

    /// The prompts to train on.
    func training() throws -> [Prompt] {
        guard let task else {
            return try read(configuration.data.prompts, isHeldout: false)
        }
        let problems = try task.drawn(.training, seed: configuration.seed, count: configuration.data.taskPrompts)
        return try problems.enumerated().map { try prompt($1, number: $0 + 1, isHeldout: false) }
    }

    /// The prompts to be evaluated on; none: no evaluation.
    func heldout() throws -> [Prompt] {
        if !configuration.data.heldout.isEmpty { return try read(configuration.data.heldout, isHeldout: true) }
        guard let task else { return [] }
        let problems = try task.drawn(.heldout, seed: Self.heldoutSeed, count: configuration.data.heldoutCount)
        return try problems.enumerated().map { try prompt($1, number: $0 + 1, isHeldout: true) }
    }

    private func read(_ path: String, isHeldout: Bool) throws -> [Prompt] {
        try PromptFile.read(path, for: configuration).enumerated().map { index, prompt in
            if !isHeldout, configuration.kind.usesReward, prompt.check == nil {
                throw UsageError(
                    "\(path): prompt \(index + 1) has no 'verifier', which gives objective.kind "
                        + "'\(configuration.objective.kind.rawValue)' its reward")
            }
            return try self.prompt(
                prompt.chat, teacher: prompt.teacher, check: prompt.check, response: isHeldout ? prompt.response : nil,
                tags: prompt.tags, named: "\(path): prompt \(index + 1)")
        }
    }

    private func prompt(_ problem: Exercise, number: Int, isHeldout: Bool) throws -> Prompt {
        try prompt(
            problem.chat, teacher: defaultTeacher, check: problem.check, response: isHeldout ? problem.response : nil,
            tags: problem.tags, named: "task '\(configuration.data.task)': problem \(number)")
    }

    /// - Parameter response: one whose cross-entropy is measured, where the learner evaluates.
    private func prompt(
        _ messages: [ChatMessage], teacher: String, check: AnswerCheck?, response: String?, tags: [String],
        named name: String
    ) throws -> Prompt {
        let text = template.render(messages, addGenerationPrompt: true)
        let ids = try encode(text)
        let room = context - configuration.sampling.maxTokens
        guard !ids.isEmpty, ids.count <= room else {
            throw UsageError(
                ids.isEmpty
                    ? "\(name) has no tokens; give it some text"
                    : "\(name) has \(ids.count) tokens, but with sampling.max_tokens "
                        + "\(configuration.sampling.maxTokens) only \(max(room, 0)) fit into the student's context of "
                        + "\(context); shorten it or lower sampling.max_tokens")
        }
        let kind = configuration.kind, samples = kind.sampler == .teachers
        let given = kind.evaluator == .learner ? try response.map { try example(messages, $0, named: name) } : nil
        return Prompt(
            ids: ids, teacher: samples ? nil : teacher, sampler: samples ? teacher : nil, text: text, check: check,
            responseIDs: given?.responseIDs ?? [], tags: tags)
    }

    /// A chat template writes its special tokens itself.
    private func encode(_ text: String) throws -> [Int32] {
        try tokenizer.encode(text, addSpecialTokens: template.kind == .plain)
    }

    // MARK: Examples

    /// What a supervised run imitates, and prompts that stand for it in checkpoints.
    func examples() throws -> (source: any ExampleSource, identity: [Prompt]) {
        let seed = configuration.seed, batchSize = configuration.data.promptsPerStep
        if let task {
            // One that does not fit is found before the run, as far as the first problems tell.
            for index in 0..<64 as Range<UInt64> {
                _ = try example(task.exercise(.training, seed: seed, index: index), task)
            }
            let identity = Prompt(ids: task.description.utf8.map { Int32($0) }, teacher: nil)
            let source = GeneratedExamples(task, seed: seed, batchSize: batchSize) { try example($0, task) }
            return (source, [identity])
        }
        let path = configuration.data.prompts
        let examples = try PromptFile.read(path, for: configuration).enumerated().map { index, prompt in
            try example(prompt.chat, prompt.response ?? "", named: "\(path): prompt \(index + 1)")
        }
        let identity = examples.map { Prompt(ids: $0.promptIDs + [-1] + $0.responseIDs, teacher: nil) }
        let source = ListedExamples(
            examples, batchSize: batchSize, seed: seed, shuffled: configuration.data.shuffle)
        return (source, identity)
    }

    private func example(_ problem: Exercise, _ task: ExerciseGenerator) throws -> SupervisedExample {
        try example(problem.chat, problem.response, named: "task '\(task)': problem '\(problem.prompt)'")
    }

    private func example(
        _ messages: [ChatMessage], _ response: String, named name: String
    ) throws -> SupervisedExample {
        let promptIDs = try encode(template.render(messages, addGenerationPrompt: true))
        let responseIDs = try tokenizer.encode(response) + stopTokenIDs.prefix(1)
        let count = promptIDs.count + responseIDs.count
        guard !promptIDs.isEmpty, !responseIDs.isEmpty, count <= context else {
            throw UsageError(
                count <= context
                    ? "\(name) has a prompt or a response without tokens; give it some text"
                    : "\(name) has \(count) tokens with its response, but the student's context is \(context); "
                        + "shorten it, or choose a model with a longer one")
        }
        return SupervisedExample(promptIDs: promptIDs, responseIDs: responseIDs)
    }
}

extension PromptLine {
    var chat: [ChatMessage] { messages.map { ChatMessage(role: $0.role, content: $0.content) } }
}

extension Exercise {
    var chat: [ChatMessage] { [ChatMessage(role: "user", content: prompt)] }
}
