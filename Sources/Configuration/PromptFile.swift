import Distillation
import Foundation
import JSON

/// Reads prompt files: records of `{"prompt": "..."}` or `{"messages": [{"role": ..., "content": ...}]}`, optionally with
/// `answer`, `verifier`, `response`, `teacher`, `tools` and `tags`, as JSON lines, as one JSON list, or as a table of
/// comma-separated values; or records of other names, see ``PromptColumns``.
package enum PromptFile {
    /// What the lines' responses are for.
    package enum Responses: Sendable {
        /// Responses are not used, only checked.
        case unused
        /// A line may have a response; a last message of the assistant is one, too.
        case taken
        /// Each line must have a response.
        case needed
    }

    /// Problems reported before reading stops.
    package static let problemLimit = 20
    static let keys = ["prompt", "messages", "tools", "answer", "verifier", "response", "teacher", "tags"]
    /// What `opd eval --output` says of a sample, beside what makes its line one of a prompt file; ignored.
    private static let sampleKeys = ["passed", "reward", "tokens", "finish_reason", "teacher_kl"]
    /// Values of one line: more than any conversation has, and a memory that every machine has.
    static let valueLimit = 1 << 20
    static let allKeys = Set(keys + sampleKeys + ["system"])
    static let roles = ["system", "developer", "user", "assistant", "tool"]

    /// Reads a prompt file.
    ///
    /// - Parameters:
    ///   - teachers: labels that a line's `teacher` may name.
    ///   - defaultTeacher: label for lines without `teacher`; nil: each line must name one.
    ///   - responses: whether each line may or must have a response to imitate: `response`, or a last message of the
    ///     assistant.
    ///   - fields: the file's names, where they are others.
    ///   - contextFields: names, in the file, of what only teachers are shown, by their labels; a line must have that of
    ///     its own teacher.
    ///   - routes: tags by which a line without `teacher` finds its teachers, by their labels.
    ///   - note: called with what a person should know of how the file was read.
    /// - Throws: ``ConfigurationError`` with every problem and its line, or when there is no prompt.
    package static func read(
        _ path: String, teachers: [String], defaultTeacher: String?, responses: Responses = .unused,
        fields: PromptFields = .init(), contextFields: [String: String] = [:],
        routes: [String: [String]] = [:], note: (String) -> Void = { _ in }
    ) throws -> [PromptLine] {
        func problem(_ message: String) -> ConfigurationError {
            ConfigurationError(problems: [.init(source: path, message: message)])
        }
        let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        if let size, size > byteLimit {
            throw problem("has \(size) bytes, more than a prompt file can have (\(byteLimit)); take a part of it")
        }
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw problem(FileManager.default.fileExists(atPath: path) ? "cannot be read" : "no such file")
        }
        return try parse(
            bytes, source: path, teachers: teachers, defaultTeacher: defaultTeacher, responses: responses,
            fields: fields, contextFields: contextFields, routes: routes, note: note)
    }

    /// Reads the prompts that a run trains on or, with `heldout`, is evaluated on.
    package static func read(
        _ path: String, for configuration: RunConfiguration, note: (String) -> Void = { _ in }
    ) throws -> [PromptLine] {
        let isTraining = path == configuration.data.prompts
        return try read(
            path, teachers: configuration.usedTeachers.keys.sorted(), defaultTeacher: configuration.defaultTeacher,
            responses: configuration.kind.sampler == .nobody
                ? (isTraining ? .needed : .taken)
                : isTraining && configuration.objective.crossEntropyCoefficient > 0 ? .taken : .unused,
            fields: configuration.data.fields, contextFields: configuration.contextFields,
            routes: configuration.routes, note: note)
    }

    /// Reads the bytes of a prompt file; `source` names it in problems, and its ending tells a table from lines.
    package static func parse(
        _ bytes: Data, source: String, teachers: [String], defaultTeacher: String?, responses: Responses = .unused,
        fields: PromptFields = .init(), contextFields: [String: String] = [:],
        routes: [String: [String]] = [:], note: (String) -> Void = { _ in }
    ) throws -> [PromptLine] {
        var prompts: [PromptLine] = []
        var problems: [ConfigurationError.Problem] = []
        var columns = PromptColumns(fields, contextFields: Set(contextFields.values))
        try forEachRecord(bytes, source: source) { place, record in
            do {
                let record = try record.get(), object = try columns.prompt(record)
                var (prompt, isEnded) = try prompt(
                    object, teachers: teachers, defaultTeacher: defaultTeacher, routes: routes, responses: responses)
                for label in prompt.teachers {
                    guard let field = contextFields[label] else { continue }
                    prompt.contexts[label] = try columns.context(field, in: record, of: label)
                }
                prompts.append(prompt)
                if isEnded { columns.endedConversations += 1 }
            } catch {
                problems.append(place.problem(source, (error as? Refusal)?.message ?? "\(error)"))
                guard problems.count < problemLimit else {
                    problems.append(place.problem(source, "stopped after \(problemLimit) problems"))
                    return false
                }
            }
            return true
        }
        if problems.isEmpty || prompts.isEmpty, let flaw = columns.flaw {
            throw ConfigurationError(problems: [.init(source: source, message: flaw)])
        }
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
        guard !prompts.isEmpty else {
            throw ConfigurationError(problems: [.init(source: source, message: "holds no prompts")])
        }
        for text in columns.notes { note("\(source): \(text)") }
        return prompts
    }

    /// - Returns: the prompt, and whether its conversation ended with the assistant without need.
    private static func prompt(
        _ object: JSONObject, teachers: [String], defaultTeacher: String?, routes: [String: [String]],
        responses: Responses
    ) throws -> (prompt: PromptLine, isEnded: Bool) {
        for key in object.members.map(\.key).sorted() where !allKeys.contains(key) {
            let hint =
                nearestName(to: key, among: keys).map { "did you mean '\($0)'?" }
                ?? "expected \(keys.joined(separator: ", ")); data.fields reads files with other columns"
            throw Refusal("unknown key '\(key)'; \(hint)")
        }
        var result = PromptLine(messages: [], teacher: nil)
        let isEnded: Bool
        (result.messages, result.response, isEnded) = try conversation(object, responses: responses)
        result.tools = try tools(object["tools"])
        if let answer = object["answer"], !answer.isNull {
            guard let text = answer.string else { throw Refusal("'answer' must be text") }
            result.answer = text
        }
        if let tags = object["tags"].map(structured), !tags.isNull {
            guard let list = tags.array, case let texts = list.compactMap(\.string), texts.count == list.count else {
                throw Refusal("'tags' must be a list of texts")
            }
            result.tags = texts
        }
        if let response = object["response"], !response.isNull {
            guard let text = response.string, !text.isEmpty else {
                throw Refusal("'response' must be text that is not empty")
            }
            result.response = text
        }
        if responses == .needed, result.response == nil {
            throw Refusal("has no 'response' to imitate, nor a last message of the assistant")
        }
        result.check = try check(object["verifier"].map(structured), answer: result.answer)
        let labels = try Self.teachers(
            object["teacher"].map(structured), among: teachers,
            default: RunConfiguration.teachers(forTags: result.tags, routes: routes, default: defaultTeacher))
        result.teacher = labels.first
        result.otherTeachers = Array(labels.dropFirst())
        return (result, isEnded)
    }

    /// The messages; one of the assistant at the end answers them and is no part of the prompt. Where responses are of
    /// use it is one.
    private static func conversation(
        _ object: JSONObject, responses: Responses
    ) throws -> (messages: [PromptLine.Message], response: String?, isEnded: Bool) {
        var messages = try messages(object)
        var response: String?, isEnded = false
        if messages.count > 1, let last = messages.last, last.role == "assistant",
            responses == .unused || object["response"] == nil
        {
            if responses == .unused {
                isEnded = true
            } else {
                guard !last.content.isEmpty else { throw Refusal("the assistant's last message is empty") }
                response = last.content
            }
            messages.removeLast()
        }
        guard let last = messages.last, last.role == "user" || last.role == "tool" else {
            throw Refusal("the last message must be the user's: the student answers it")
        }
        guard let system = object["system"], !system.isNull, system != "" else { return (messages, response, isEnded) }
        guard let text = system.string else { throw Refusal("'system' must be text") }
        guard messages[0].role != "system" else { throw Refusal("has a 'system' and a message of the system") }
        return ([.init(role: "system", content: text)] + messages, response, isEnded)
    }

    private static func messages(_ object: JSONObject) throws -> [PromptLine.Message] {
        switch (object["prompt"], object["messages"]) {
        case (nil, nil): throw Refusal("has neither 'prompt' nor 'messages'")
        case (.some, .some): throw Refusal("has both 'prompt' and 'messages'; give one")
        case (let prompt?, nil):
            if prompt.array?.isEmpty == false { return try messages(prompt) }
            guard let text = prompt.string, !text.isEmpty else {
                throw Refusal("'prompt' must be text that is not empty")
            }
            return [.init(role: "user", content: text)]
        case (nil, let list?): return try messages(structured(list))
        }
    }

    /// A list or an object that a table holds as text.
    static func structured(_ value: JSONValue) -> JSONValue {
        guard let text = value.string, let first = text.first, first == "[" || first == "{" else { return value }
        let parsed = try? JSONValue.parse(Array(text.utf8), limit: valueLimit)
        return parsed ?? value
    }

    /// Labels of the teachers that grade a prompt: the one or the several that it names or, where it names none, `default`.
    private static func teachers(
        _ value: JSONValue?, among teachers: [String], default: [String]
    ) throws -> [String] {
        // A run without teachers takes files that were written for one with some.
        guard !teachers.isEmpty else { return [] }
        let known = teachers.joined(separator: ", ")
        guard let value, !value.isNull else {
            if !`default`.isEmpty { return `default` }
            throw Refusal("names no teacher and none is called 'default'; add \"teacher\": one of \(known)")
        }
        let texts = value.array?.compactMap(\.string) ?? [value.string].compactMap(\.self)
        guard !texts.isEmpty, texts.count == value.array?.count ?? 1 else {
            throw Refusal(
                value.array == nil ? "'teacher' must be text" : "'teacher' must be a text, or a list of texts")
        }
        for (index, label) in texts.enumerated() {
            guard teachers.contains(label) else {
                throw Refusal("unknown teacher '\(label)'; the configuration has \(known)")
            }
            if texts[..<index].contains(label) { throw Refusal("'teacher' names '\(label)' twice") }
        }
        return texts
    }
}
