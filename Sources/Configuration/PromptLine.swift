import Distillation
import JSON

/// One line of a prompt file: a conversation that the student answers.
package struct PromptLine: Sendable, Equatable {
    /// A message of the conversation.
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
    /// Label of the teacher that grades this prompt; nil where there are no teachers.
    package var teacher: String?
    /// Labels of further teachers that grade it together with that one.
    package var otherTeachers: [String] = []
    package var tags: [String]
    /// A response to imitate.
    package var response: String?
    /// What only a teacher is shown, by the labels of those whose configuration names a field for it.
    package var contexts: [String: String] = [:]
    /// What judges responses, where the line names a verifier.
    package var check: AnswerCheck?

    package init(
        messages: [Message], tools: JSONValue? = nil, answer: String? = nil, teacher: String?, tags: [String] = [],
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

extension PromptLine {
    /// Labels of all teachers that grade it.
    package var teachers: [String] { [teacher].compactMap(\.self) + otherTeachers }
}
