/// What a chat template writes between an assistant's answer and its next one: the answer's end, what it is told, and the
/// beginning of the next answer.
///
/// Only this part of a conversation is rendered when an episode goes on, so that what stands before it is never written,
/// nor tokenised, again. That needs a template which writes a conversation piece by piece; one that writes earlier answers
/// otherwise than it wrote them at first, such as without what they thought, is refused.
package struct TurnContinuation: Sendable {
    private let template: ChatTemplate
    private let role: String

    /// Texts that no template writes by itself.
    private static let question = "question-mark", answers = ["first-answer-mark", "second-answer-mark"]

    /// - Parameter role: of what the assistant is told, such as `user` or `tool`.
    /// - Throws: `TemplateError` where the template cannot be cut so.
    package init(_ template: ChatTemplate, role: String) throws(TemplateError) {
        self.template = template
        self.role = role
        guard !template.isPlain else {
            guard role == "user" else { throw refusal("plain texts have no role but 'user'") }
            return
        }
        var before = try template.render(conversation([]))
        let told = ["first-telling-mark", "second-telling-mark"]
        for count in 1...2 {
            let text = try template.render(conversation(Array(told.prefix(count))))
            let start = before + Self.answers[count - 1]
            guard text.hasPrefix(start) else {
                throw refusal("it writes an answer otherwise once another message follows")
            }
            guard text.dropFirst(start.count) == (try self.text(telling: told[count - 1])) else {
                throw refusal("what it writes between two answers depends on what was before")
            }
            before = text
        }
        guard before.contains(told[0]), before.contains(told[1]) else {
            throw refusal("it leaves out messages of the role '\(role)'")
        }
    }

    /// What follows an answer, its end included; of a plain text, what is told alone.
    package func text(telling observation: String) throws(TemplateError) -> String {
        guard !template.isPlain else { return observation }
        let mark = Self.answers[0]
        let text = try template.render(conversation([observation]))
        // The first one: what is told may hold the mark, too.
        guard let range = text.ranges(of: mark).first else { throw refusal("it leaves out the assistant's answer") }
        return String(text[range.upperBound...])
    }

    /// A question, and so many answers with what was told after each.
    private func conversation(_ told: [String]) -> Conversation {
        var conversation = Conversation(user: Self.question)
        for (answer, observation) in zip(Self.answers, told) {
            conversation.messages.append(["role": "assistant", "content": .string(answer)])
            conversation.messages.append(["role": .string(role), "content": .string(observation)])
        }
        return conversation
    }

    /// Why an episode cannot go on with the template.
    package func refusal(_ reason: String) -> TemplateError {
        TemplateError(
            kind: .failed, template: template.template.name, line: 0,
            reason: "\(reason), so that an episode cannot go on with it; name another template with data.template")
    }
}
