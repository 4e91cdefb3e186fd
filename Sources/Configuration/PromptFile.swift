import Distillation
import Foundation
import JSON

/// One line of a prompt file: a conversation that the student answers.
package struct PromptLine: Sendable, Equatable {
    package struct Message: Sendable, Equatable {
        package var role: String
        /// The text; empty for one that only calls tools.
        package var content: String
        /// The whole message with what else a chat template may read (`tool_calls`, `name`, `reasoning_content`, ...),
        /// in the file's order. Its content is a text, null or absent; the arguments of its calls are objects.
        package var object: JSONValue

        package init(role: String, content: String) {
            self.init(role: role, content: content, object: ["role": .string(role), "content": .string(content)])
        }

        package init(role: String, content: String, object: JSONValue) {
            self.role = role
            self.content = content
            self.object = object
        }
    }

    /// The conversation, at least one message; the last is the user's or a tool's.
    ///
    /// `{"prompt": "..."}` is one message of the user.
    package var messages: [Message]
    /// Descriptions of the functions that the assistant may call, a list of objects; nil: none.
    package var tools: JSONValue?
    /// A reference answer, for verifiers and evaluations.
    package var answer: String?
    /// Label of the teacher that grades this prompt; empty where there are no teachers.
    package var teacher: String
    package var tags: [String]
    /// A response to imitate.
    package var response: String?
    /// What judges responses, where the line names a verifier.
    package var check: AnswerCheck?

    package init(
        messages: [Message], tools: JSONValue? = nil, answer: String? = nil, teacher: String, tags: [String] = [],
        response: String? = nil, check: AnswerCheck? = nil
    ) {
        self.messages = messages
        self.tools = tools
        self.answer = answer
        self.teacher = teacher
        self.tags = tags
        self.response = response
        self.check = check
    }
}

/// Reads prompt files: JSON lines of `{"prompt": "..."}` or `{"messages": [{"role": ..., "content": ...}]}`, optionally
/// with `answer`, `verifier`, `response`, `teacher` and `tags`. Blank lines are skipped.
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
    static let sampleKeys = ["passed", "reward", "tokens", "finish_reason", "teacher_kl"]
    /// Values of one line: more than any conversation has, and a memory that every machine has.
    static let valueLimit = 1 << 20
    static let roles = ["system", "user", "assistant", "tool"]

    /// Reads a prompt file.
    ///
    /// - Parameters:
    ///   - teachers: labels that a line's `teacher` may name.
    ///   - defaultTeacher: label for lines without `teacher`; nil: each line must name one.
    ///   - responses: whether each line may or must have a response to imitate: `response`, or a last message of the
    ///     assistant.
    /// - Throws: ``ConfigurationError`` with every problem and its line, or when there is no prompt.
    package static func read(
        _ path: String, teachers: [String], defaultTeacher: String?, responses: Responses = .unused
    ) throws -> [PromptLine] {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            let message = FileManager.default.fileExists(atPath: path) ? "cannot be read" : "no such file"
            throw ConfigurationError(problems: [.init(source: path, message: message)])
        }
        return try parse(
            bytes, source: path, teachers: teachers, defaultTeacher: defaultTeacher, responses: responses)
    }

    /// Reads the prompts that a run trains on or, with `heldout`, is evaluated on.
    package static func read(_ path: String, for configuration: RunConfiguration) throws -> [PromptLine] {
        let isTraining = path == configuration.data.prompts
        return try read(
            path, teachers: configuration.usedTeachers.keys.sorted(), defaultTeacher: configuration.defaultTeacher,
            responses: configuration.kind.sampler == .nobody ? (isTraining ? .needed : .taken) : .unused)
    }

    /// Reads the bytes of a prompt file; `source` names it in problems.
    package static func parse(
        _ bytes: Data, source: String, teachers: [String], defaultTeacher: String?, responses: Responses = .unused
    ) throws -> [PromptLine] {
        var prompts: [PromptLine] = []
        var problems: [ConfigurationError.Problem] = []
        for (index, slice) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        {
            if slice.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) { continue }
            do {
                prompts.append(
                    try prompt(
                        Data(slice), teachers: teachers, defaultTeacher: defaultTeacher, responses: responses))
            } catch let refusal as Refusal {
                problems.append(.init(source: source, line: index + 1, message: refusal.message))
                if problems.count == problemLimit {
                    problems.append(
                        .init(source: source, line: index + 1, message: "stopped after \(problemLimit) problems"))
                    break
                }
            }
        }
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
        guard !prompts.isEmpty else {
            throw ConfigurationError(problems: [.init(source: source, message: "holds no prompts")])
        }
        return prompts
    }

    private static func prompt(
        _ line: Data, teachers: [String], defaultTeacher: String?, responses: Responses
    ) throws -> PromptLine {
        let bytes = [UInt8](line)
        guard String(validating: bytes, as: UTF8.self) != nil else { throw Refusal(message: "is not UTF-8 text") }
        guard let value = try? JSONValue.parse(bytes, limit: valueLimit) else {
            throw Refusal(message: "is not JSON; each line must be one complete JSON object")
        }
        guard let object = value.object else {
            throw Refusal(message: "expected an object such as {\"prompt\": \"...\"}")
        }
        for key in object.members.map(\.key).sorted() where !keys.contains(key) && !sampleKeys.contains(key) {
            let hint =
                nearestName(to: key, among: keys).map { "did you mean '\($0)'?" }
                ?? "expected \(keys.joined(separator: ", "))"
            throw Refusal(message: "unknown key '\(key)'; \(hint)")
        }
        try refuseRepetition(in: object)
        var result = PromptLine(messages: [], teacher: "")
        (result.messages, result.response) = try conversation(object, responses: responses)
        result.tools = try tools(object["tools"])
        if let answer = object["answer"], !answer.isNull {
            guard let text = answer.string else { throw Refusal(message: "'answer' must be text") }
            result.answer = text
        }
        if let tags = object["tags"], !tags.isNull {
            guard let list = tags.array, case let texts = list.compactMap(\.string), texts.count == list.count else {
                throw Refusal(message: "'tags' must be a list of texts")
            }
            result.tags = texts
        }
        if let response = object["response"], !response.isNull {
            guard let text = response.string, !text.isEmpty else {
                throw Refusal(message: "'response' must be text that is not empty")
            }
            result.response = text
        }
        if responses == .needed, result.response == nil {
            throw Refusal(message: "has no 'response' to imitate, nor a last message of the assistant")
        }
        result.check = try check(object["verifier"], answer: result.answer)
        result.teacher = try teacher(object["teacher"], among: teachers, default: defaultTeacher)
        return result
    }

    /// The messages; where responses are of use, one of the assistant at the end is that and no part of the prompt.
    private static func conversation(
        _ object: JSONObject, responses: Responses
    ) throws -> (messages: [PromptLine.Message], response: String?) {
        var messages = try messages(object)
        var response: String?
        if responses != .unused, messages.count > 1, messages.last?.role == "assistant", object["response"] == nil {
            response = messages.removeLast().content
            guard response?.isEmpty == false else { throw Refusal(message: "the assistant's last message is empty") }
        }
        guard let last = messages.last, last.role == "user" || last.role == "tool" else {
            throw Refusal(message: "the last message must be the user's: the student answers it")
        }
        return (messages, response)
    }

    private static func messages(_ object: JSONObject) throws -> [PromptLine.Message] {
        switch (object["prompt"], object["messages"]) {
        case (nil, nil): throw Refusal(message: "has neither 'prompt' nor 'messages'")
        case (.some, .some): throw Refusal(message: "has both 'prompt' and 'messages'; give one")
        case (let prompt?, nil):
            guard let text = prompt.string, !text.isEmpty else {
                throw Refusal(message: "'prompt' must be text that is not empty")
            }
            return [.init(role: "user", content: text)]
        case (nil, let list?): return try messages(list)
        }
    }

    private static func teacher(_ value: JSONValue?, among teachers: [String], default: String?) throws -> String {
        // A run without teachers takes files that were written for one with some.
        guard !teachers.isEmpty else { return "" }
        let known = teachers.joined(separator: ", ")
        guard let value, !value.isNull else {
            if let label = `default` { return label }
            throw Refusal(message: "names no teacher and none is called 'default'; add \"teacher\": one of \(known)")
        }
        guard let label = value.string else { throw Refusal(message: "'teacher' must be text") }
        guard teachers.contains(label) else {
            throw Refusal(message: "unknown teacher '\(label)'; the configuration has \(known)")
        }
        return label
    }
}
