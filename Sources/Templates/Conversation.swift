import JSON

/// What a chat template renders: messages, tools, and whether an answer shall follow.
package struct Conversation: Sendable, Equatable {
    /// Objects with a role and contents, all their members with them.
    package var messages: [JSONValue]
    package var tools: JSONValue?
    /// The text ends where the assistant's answer begins.
    package var addsGenerationPrompt: Bool
    /// Further variables of this conversation; they go before those of the template.
    package var variables: JSONObject

    package init(
        _ messages: [JSONValue], tools: JSONValue? = nil, addsGenerationPrompt: Bool = true,
        variables: JSONObject = JSONObject()
    ) {
        self.messages = messages
        self.tools = tools
        self.addsGenerationPrompt = addsGenerationPrompt
        self.variables = variables
    }

    /// One message of a user.
    package init(user content: String) {
        self.init([["role": "user", "content": .string(content)]])
    }

    /// The conversation as `opd template` reads it: `messages`, `tools`, `add_generation_prompt`, and variables by any
    /// other name. Throws a text that says what is missing.
    package init(_ object: JSONObject) throws(ConversationError) {
        guard let messages = object["messages"]?.array else {
            throw ConversationError("'messages' must be a list of objects")
        }
        let prompt = object["add_generation_prompt"] ?? true
        guard let addsGenerationPrompt = prompt.bool else {
            throw ConversationError("'add_generation_prompt' must be true or false")
        }
        self.init(messages, addsGenerationPrompt: addsGenerationPrompt)
        tools = object["tools"].flatMap { $0.isNull ? nil : $0 }
        guard tools?.array != nil || tools == nil else { throw ConversationError("'tools' must be a list of objects") }
        for member in object.members
        where !["messages", "tools", "add_generation_prompt"].contains(member.key) {
            variables[member.key] = member.value
        }
    }

    /// The conversation with a system message before it, if it has none and one is given.
    package func with(system: String?) -> Conversation {
        guard let system, messages.first?["role"]?.string != "system" else { return self }
        var result = self
        result.messages.insert(["role": "system", "content": .string(system)], at: 0)
        return result
    }

    /// The conversation with a further part of its system message, after an empty line; where it has no such message,
    /// with one of that part alone.
    package func with(addedToSystem text: String) -> Conversation {
        guard var first = messages.first?.object, first["role"]?.string == "system" else { return with(system: text) }
        let before = first["content"]?.string ?? ""
        first["content"] = .string(before.isEmpty ? text : before + "\n\n" + text)
        var result = self
        result.messages[0] = .object(first)
        return result
    }

    /// The variables that the template sees, as transformers passes them. Members of messages that are null are left
    /// out, and what an assistant thought is there under all names that templates use.
    func variables(over template: JSONObject) throws(ConversationError) -> JSONObject {
        guard !messages.isEmpty else { throw ConversationError("the conversation has no messages") }
        var result = template
        for member in variables.members { result[member.key] = member.value }
        var plain: [JSONValue] = []
        for (index, message) in messages.enumerated() {
            guard let object = message.object else {
                throw ConversationError("message \(index + 1) must be an object, not \(message.kindName)")
            }
            plain.append(.object(Self.normalized(object)))
        }
        result["messages"] = .array(plain)
        result["tools"] = tools ?? .null
        result["documents"] = result["documents"] ?? .null
        result["add_generation_prompt"] = .bool(addsGenerationPrompt)
        return result
    }

    private static func normalized(_ message: JSONObject) -> JSONObject {
        var result = JSONObject()
        // Members are few; of one that is there twice, the last counts.
        for member in message.members { result[member.key] = member.value }
        result.members.removeAll { $0.value.isNull }
        let names = ["reasoning_content", "thinking", "reasoning"]
        guard let reasoning = names.lazy.compactMap({ result[$0] }).first else { return result }
        // Templates that print a message whole show the order of its members: `thinking` is the first wherever it stood.
        let thinking = result["thinking"] ?? reasoning
        result.members.removeAll { $0.key == "thinking" }
        result.members.insert(.init(key: "thinking", value: thinking), at: 0)
        result["reasoning_content"] = reasoning
        return result
    }
}

/// Why something is no conversation.
package struct ConversationError: Error, Sendable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
