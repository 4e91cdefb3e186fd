import Configuration
import Distillation
import Engines
import JSON
import Pipeline
import Templates
import Tokenizers
import Wire
import Wording

/// Reads what a run asks and imitates, from files or from a generated task, rendered and tokenised for its student.
struct PromptReader: Sendable {
    let configuration: RunConfiguration
    let text: ModelText
    /// Longest sequence of the student, in tokens.
    let context: Int
    /// Longest sequences of teachers, as far as they are known, by label.
    private let teacherContexts: [String: Int]
    /// What a person should know of what was read, a line each.
    private(set) var notes: [String] = []
    /// What teachers read of what was read, in order.
    private(set) var rendered: [RenderedPrompt] = []
    let template: ChatTemplate
    /// The teachers with other tokenizers.
    let retokenized: RetokenizedTeachers
    let stopTokenIDs: [Int32]
    let task: ExerciseGenerator?
    /// The episodes that are played; nil: prompts are answered in one turn.
    private let episodes: EpisodeSettings?

    /// Held-out problems are the same for every run of a task, and for `opd eval` unless it is told otherwise.
    static let heldoutSeed: UInt64 = 1

    init(_ configuration: RunConfiguration, _ models: DescribedModels) throws {
        let student = models.student
        guard let text = student.text else {
            throw UsageError("student.model: the tokenizer of \(student.name) must be on this machine; give its folder")
        }
        self.configuration = configuration
        self.text = text
        context = student.contextLength
        teacherContexts = models.teacherContexts
        template = try text.templates.configured(by: configuration.data)
        retokenized = try RetokenizedTeachers(configuration, models, text, template)
        stopTokenIDs = text.tokenizer.stopTokenIDs(endOfAnswer: template.endOfAnswer)
        task = try configuration.data.task.map(ExerciseGenerator.named)
        episodes = try configuration.episodes()
        // That the template can go on with an episode is found out here, before the run.
        if episodes != nil { _ = try EpisodeText(text, template, role: configuration.data.environment.role) }
    }

    private var tokenizer: Tokenizer { text.tokenizer }
    /// The teacher of what names none; nil where there are none.
    private var defaultTeacher: String? { configuration.usedTeachers.isEmpty ? nil : configuration.defaultTeacher }

    /// The prompts to train on.
    mutating func training() throws -> [Prompt] {
        guard let task else {
            return try read(trainingPath, isHeldout: false)
        }
        return try prompts(
            of: task.drawn(.training, seed: configuration.seed, count: configuration.data.taskPrompts), task,
            isHeldout: false)
    }

    /// The prompts to be evaluated on; none: no evaluation.
    mutating func heldout() throws -> [Prompt] {
        if let path = configuration.data.heldout { return try read(path, isHeldout: true) }
        guard let task else { return [] }
        return try prompts(
            of: task.drawn(.heldout, seed: Self.heldoutSeed, count: configuration.data.heldoutCount), task,
            isHeldout: true)
    }

    /// The file of what is trained on, where no task is.
    private var trainingPath: String {
        get throws {
            guard let path = configuration.data.prompts else { throw UsageError("data.prompts is missing") }
            return path
        }
    }

    private var fittings: PromptFittings {
        PromptFittings(PromptFitting(configuration.data.overlong, maxTokens: configuration.sampling.maxTokens))
    }

    private mutating func read(_ path: String, isHeldout: Bool) throws -> [Prompt] {
        var fittings = fittings
        let lines = try PromptFile.read(path, for: configuration, note: { notes.append($0) })
        let prompts = try lines.enumerated().compactMap { index, prompt in
            if !isHeldout, configuration.kind.usesReward, prompt.check == nil,
                episodes?.givesReward != true
            {
                throw UsageError(
                    "\(path): prompt \(index + 1) has no 'verifier', which gives objective.kind "
                        + "'\(configuration.objective.kind.rawValue)' its reward")
            }
            return try self.prompt(
                PromptSource(
                    chat: prompt.chat, teachers: prompt.teachers, contexts: prompt.contexts, check: prompt.check,
                    response: takesResponses(isHeldout) ? prompt.response : nil,
                    question: prompt.messages.last?.content,
                    tags: prompt.tags, name: "\(path): prompt \(index + 1)"), &fittings)
        }
        notes += try fittings.notes(of: path)
        return prompts
    }

    private mutating func prompts(
        of problems: [Exercise], _ task: ExerciseGenerator, isHeldout: Bool
    ) throws -> [Prompt] {
        var fittings = fittings
        let name = "task '\(configuration.data.task ?? task.description)'"
        let prompts = try problems.enumerated().compactMap { index, problem in
            let teachers = RunConfiguration.teachers(
                forTags: problem.tags, routes: configuration.routes, default: defaultTeacher)
            guard !teachers.isEmpty || configuration.usedTeachers.isEmpty else {
                throw UsageError(
                    "\(name): problem \(index + 1) has no teacher: none is called 'default', and none has one of its tags "
                        + "in teachers.*.tags")
            }
            var source = PromptSource(
                problem, teachers: teachers, contextFields: configuration.contextFields,
                named: "\(name): problem \(index + 1)")
            source.response = takesResponses(isHeldout) ? problem.response : nil
            return try prompt(source, &fittings)
        }
        notes += try fittings.notes(of: name)
        return prompts
    }

    /// Whether the responses that are given with such prompts are looked at, but for those of a supervised run.
    private func takesResponses(_ isHeldout: Bool) -> Bool { isHeldout ? !imitatesGiven : imitatesGiven }

    /// Whether given responses are imitated beside what is sampled.
    private var imitatesGiven: Bool { configuration.objective.crossEntropyCoefficient > 0 }

    /// - Returns: nil for a prompt that does not fit and is left out.
    private mutating func prompt(_ source: PromptSource, _ fittings: inout PromptFittings) throws -> Prompt? {
        let name = source.name
        let text = try render(source.chat, named: name)
        let ids = try encode(text)
        guard !ids.isEmpty else { throw UsageError("\(name) has no tokens; give it some text") }
        let kind = configuration.kind, samples = kind.sampler == .teachers
        let given =
            kind.evaluator == .learner || imitatesGiven
            ? try source.response.map { try responseIDs($0, named: name) } : nil
        try checkTogether(source)
        let shown = try source.teachers.map { (label: $0, own: try teacherView(source, of: $0)) }
        // Whoever grades or samples must read it, too.
        let context = shown.filter { $0.own == nil }.reduce(context) { min($0, contextLength(of: $1.label)) }
        guard let ids = try fittings.own.fit(ids, response: given?.count, context: context, named: name) else {
            return nil
        }
        var prompt = Prompt(
            ids: ids, teacher: nil, text: text, check: source.check, responseIDs: imitatesGiven ? nil : given,
            room: context - ids.count, question: source.question, tags: source.tags)
        if imitatesGiven { prompt.givenIDs = given }
        if episodes != nil { prompt.episode = try episode(of: source) }
        var teachers: [PromptTeacher] = []
        for ((label, own), share) in zip(shown, configuration.shares(of: source.teachers)) {
            var teacher = PromptTeacher(label: label, share: share, view: own?.view)
            if let view = own?.view {
                let context = contextLength(of: label), reading = "\(name), as teacher '\(label)' reads it,"
                guard let ids = try fittings.teachers.fit(view.ids, context: context, named: reading) else {
                    return nil
                }
                teacher.view?.ids = ids
                prompt.room = min(prompt.room, context - ids.count)
            }
            teachers.append(teacher)
            // Where its template is its own, it is not compared with the student's.
            guard retokenized[label] == nil else { continue }
            let chat = own?.chat ?? source.chat.with(system: configuration.data.systemPrompt)
            rendered.append(RenderedPrompt(name: name, teacher: label, chat: chat, text: own?.view.text ?? text))
        }
        guard let first = teachers.first else { return prompt }
        prompt.teacherView = first.view
        if samples {
            prompt.sampler = first.label
        } else {
            (prompt.teacher, prompt.share) = (first.label, first.share)
            prompt.others = Array(teachers.dropFirst())
        }
        return prompt
    }

    /// What an environment is told of a prompt.
    private func episode(of source: PromptSource) throws -> String {
        guard source.chat.tools == nil else {
            throw UsageError("\(source.name) has tools, which data.environment has no place for; leave one of them out")
        }
        let tags = source.tags.map(JSONText.string).joined(separator: ", ")
        let question = source.question ?? source.chat.messages.last?["content"]?.string ?? ""
        var members = [
            ("prompt", JSONText.string(question)), ("answer", JSONText.string(source.check?.answer ?? "")),
            ("tags", "[\(tags)]"),
        ]
        // Those that are built in have no use for them.
        if configuration.data.environment.name == nil {
            let chat = source.chat.with(system: configuration.data.systemPrompt)
            members.append(("messages", JSONValue.array(chat.messages).text(pretty: false)))
        }
        let fields = JSONText.object(members)
        guard fields.utf8.count <= RolloutGroup.longestEpisode else {
            throw UsageError(
                "\(source.name) has fields of \(fields.utf8.count) bytes, and data.environment takes "
                    + "\(RolloutGroup.longestEpisode); shorten it")
        }
        return fields
    }

    /// The longest sequence of a teacher, as far as it is known.
    private func contextLength(of teacher: String) -> Int { teacherContexts[teacher] ?? .max }

    /// A chat template writes its special tokens itself.
    /// - Parameters:
    ///   - template: what has rendered the text; nil: the student's.
    ///   - other: a teacher's tokenizer; nil: the student's.
    func encode(_ text: String, with template: ChatTemplate? = nil, _ other: Tokenizer? = nil) throws -> [Int32] {
        let tokenizer = other ?? tokenizer
        return try (template ?? self.template).isPlain
            ? tokenizer.encodeAddingSpecialTokens(text) : tokenizer.encode(text)
    }

    /// The prompt's text; a template may refuse a conversation, such as one with two messages of the user in a row.
    /// - Parameter other: a teacher's template; nil: the student's.
    func render(
        _ conversation: Conversation, named name: String, with other: ChatTemplate? = nil
    ) throws -> String {
        let template = other ?? template
        do {
            if let part = template.part(leftOutOf: conversation) {
                throw UsageError(
                    "\(name) has \(part), which the chat template (\(template.reason)) has no place for; leave them out, "
                        + "or name another template with data.template")
            }
            return try template.render(conversation.with(system: configuration.data.systemPrompt))
        } catch let error as UsageError {
            throw error
        } catch {
            throw UsageError("\(name): \(error)")
        }
    }

    // MARK: Examples

    /// What a supervised run imitates, and prompts that stand for it in checkpoints.
    mutating func examples() throws -> (source: any ExampleSource, identity: [Prompt]) {
        let seed = configuration.seed, batchSize = configuration.data.promptsPerStep
        if let task {
            let reader = self
            // One that does not fit is found before the run, as far as the first problems tell.
            for index in 0..<64 as Range<UInt64> {
                _ = try reader.example(task.exercise(.training, seed: seed, index: index), task)
            }
            let identity = Prompt(ids: task.description.utf8.map { Int32($0) }, teacher: nil)
            let source = GeneratedExamples(task, seed: seed, batchSize: batchSize) { try reader.example($0, task) }
            return (source, [identity])
        }
        let path = try trainingPath
        var fitting = fittings.own
        let examples = try PromptFile.read(path, for: configuration, note: { notes.append($0) }).enumerated()
            .compactMap { index, prompt in
                try example(prompt.chat, prompt.response ?? "", named: "\(path): prompt \(index + 1)", &fitting)
            }
        notes += try fitting.notes(of: path)
        let identity = examples.map { Prompt(ids: $0.promptIDs + [-1] + $0.responseIDs, teacher: nil) }
        let source = ListedExamples(
            examples, batchSize: batchSize, seed: seed, shuffled: configuration.data.shuffle)
        return (source, identity)
    }

    /// An exercise is drawn when its turn comes: one that does not fit cannot be left out.
    private func example(_ problem: Exercise, _ task: ExerciseGenerator) throws -> SupervisedExample {
        let name = "task '\(task)': problem '\(problem.prompt)'"
        let example = try wholeExample(problem.chat, problem.response, named: name)
        let count = example.count
        guard count <= context else {
            throw UsageError(
                "\(name) has \(count) tokens with its response, but the student's context is \(context); "
                    + "choose a model with a longer one")
        }
        return example
    }

    /// - Returns: nil for one that does not fit and is left out.
    private func example(
        _ conversation: Conversation, _ response: String, named name: String, _ fitting: inout PromptFitting
    ) throws -> SupervisedExample? {
        let whole = try wholeExample(conversation, response, named: name)
        return try fitting.fit(
            whole.promptIDs, response: whole.responseIDs.count, isSampled: false, context: context, named: name
        ).map { SupervisedExample(promptIDs: $0, responseIDs: whole.responseIDs) }
    }

    private func wholeExample(
        _ conversation: Conversation, _ response: String, named name: String
    ) throws -> SupervisedExample {
        let promptIDs = try encode(render(conversation, named: name))
        guard !promptIDs.isEmpty else { throw UsageError("\(name) has no tokens; give it some text") }
        return SupervisedExample(promptIDs: promptIDs, responseIDs: try responseIDs(response, named: name))
    }

    /// A response to imitate, with the token that ends it.
    private func responseIDs(_ response: String, named name: String) throws -> [Int32] {
        let ids = try tokenizer.encode(response) + stopTokenIDs.prefix(1)
        guard !ids.isEmpty else { throw UsageError("\(name) has a response without tokens; give it some text") }
        return ids
    }
}

/// A prompt as a teacher reads it, written by the student's template, and the conversation that it was rendered from.
struct RenderedPrompt {
    /// What messages call it.
    var name: String
    var teacher: String
    var chat: Conversation
    var text: String
}

extension PromptLine {
    /// The conversation, with what a chat template may read beside roles and contents: calls of tools, thoughts, names.
    var chat: Conversation { Conversation(messages.map(\.object), tools: tools) }
}

extension Exercise {
    var chat: Conversation { Conversation(user: prompt) }
}
