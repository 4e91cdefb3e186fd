import JSON
import Wording

/// How a model's conversations become one text: a template, and the variables that it is rendered with.
package struct ChatTemplate: Sendable {
    /// Where a template comes from.
    package enum Origin: Sendable, Equatable {
        /// One of the model's own, by its file and, where there are several, its name.
        case model(file: String)
        /// One of those that come with opd, by its name.
        case builtIn(String)
        /// The model has none, so its texts stand alone.
        case missing
    }

    package let template: Template
    /// The template for conversations with tools, where the model has another one for them.
    package var templateForTools: Template?
    package let origin: Origin
    /// Special tokens of the model, and arguments of the configuration.
    package var variables: JSONObject
    package var date: TemplateDate

    /// A day in the past: prompts must not change from day to day unless somebody says so.
    package static let defaultDate = TemplateDate(year: 2024, month: 7, day: 26)

    package init(
        _ template: Template, origin: Origin, variables: JSONObject = JSONObject(),
        date: TemplateDate = ChatTemplate.defaultDate
    ) {
        self.template = template
        self.origin = origin
        self.variables = variables
        self.date = date
    }

    /// The texts alone: whoever encodes them adds what the tokenizer adds to any text.
    package var isPlain: Bool { origin == .missing || origin == .builtIn("plain") }

    /// Where the template comes from, for a person.
    package var reason: String {
        switch origin {
        case .model(let file): "the model's own, \(file)"
        case .builtIn(let name): name
        case .missing: "plain, for the model has no chat template"
        }
    }

    /// The text of a conversation. Special tokens are written out, so encode it without adding any (but a plain text
    /// with).
    package func render(_ conversation: Conversation) throws(TemplateError) -> String {
        let template = conversation.tools == nil ? template : templateForTools ?? template
        let values: JSONObject
        do {
            values = try conversation.variables(over: variables)
        } catch {
            throw TemplateError(kind: .failed, template: template.name, line: 1, reason: error.description)
        }
        return try template.render(values, date: date)
    }

    /// What of a conversation the template would drop silently: "tools" or "calls of tools" of which it does not speak
    /// anywhere, or "messages of a developer"; nil: nothing.
    package func part(leftOutOf conversation: Conversation) -> String? {
        let used = conversation.tools == nil ? template : templateForTools ?? template
        if conversation.tools != nil, !used.mentions("tools") { return "tools" }
        let calls = conversation.messages.contains { $0["tool_calls"]?.array?.isEmpty == false }
        if calls, !used.source.contains("tool_calls") { return "calls of tools" }
        // Many templates pass over a role that they do not know.
        let developer = conversation.messages.filter { $0["role"] == "developer" }.compactMap { $0["content"]?.string }
        guard !developer.isEmpty, let text = try? render(conversation) else { return nil }
        let isComplete = developer.allSatisfy { text.contains($0.trimmed) }
        return isComplete ? nil : "messages of a developer"
    }

    /// Whether the template asks for a variable anywhere.
    package func mentions(_ variable: String) -> Bool {
        template.mentions(variable) || templateForTools?.mentions(variable) == true
    }

    /// What the template writes after an assistant's answer: the token that ends it stands first there. Empty where
    /// the template does not say.
    package var endOfAnswer: String {
        let answer = "answer-mark"
        let conversation = Conversation(
            [["role": "user", "content": "question"], ["role": "assistant", "content": .string(answer)]],
            addsGenerationPrompt: false)
        guard let text = try? render(conversation), let range = text.ranges(of: answer).last else { return "" }
        return String(text[range.upperBound...])
    }

    /// Everything that decides how conversations are rendered, as one text: equal texts for equal templates.
    package var canonicalText: String {
        // The order in which special tokens stand in a file is of no matter.
        let values = variables.members.filter { mentions($0.key) }.sorted { $0.key < $1.key }
        var parts = [template.source, templateForTools?.source ?? ""]
        parts += values.map { "\($0.key)=\($0.value.text(pretty: false))" }
        if template.mentions("strftime_now") { parts.append(date.dayText) }
        // Lengths keep neighbours apart.
        return parts.map { "\($0.utf8.count) \($0)\n" }.joined()
    }
}

extension ChatTemplate: Equatable {
    package static func == (a: ChatTemplate, b: ChatTemplate) -> Bool { a.canonicalText == b.canonicalText }
}
