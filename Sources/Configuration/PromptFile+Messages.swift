import JSON

extension PromptFile {
    /// What a message may have beside its role and content; a chat template may know more, and gets it too.
    static let messageKeys = [
        "role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning", "thinking",
    ]

    /// The messages of a list of objects; `list` is what stands under 'messages'.
    static func messages(_ list: JSONValue) throws -> [PromptLine.Message] {
        guard let elements = list.array, !elements.isEmpty else {
            throw Refusal("'messages' must be a list of {\"role\": ..., \"content\": ...}")
        }
        return try elements.enumerated().map { try message($1, number: $0 + 1) }
    }

    /// The tools that a conversation may call, as a chat template prints them: a list of objects, or a text of such a
    /// list, as tables of columns have it. Nil for none.
    static func tools(_ value: JSONValue?) throws -> JSONValue? {
        guard let value = value.map(structured), !value.isNull, value != "" else { return nil }
        guard let list = value.array, list.allSatisfy({ $0.object != nil }) else {
            throw Refusal("'tools' must be a list of objects, each the description of a function")
        }
        return list.isEmpty ? nil : value
    }

    private static func message(_ value: JSONValue, number: Int) throws -> PromptLine.Message {
        guard var object = try turn(value, number: number).object, let role = object["role"]?.string else {
            throw Refusal("message \(number) must have a text 'role' and a text 'content'")
        }
        guard roles.contains(role) else {
            throw Refusal("message \(number): role '\(role)' is not one of \(roles.joined(separator: ", "))")
        }
        try refuseRepetition(in: object, named: "message \(number)")
        for key in object.members.map(\.key) where !messageKeys.contains(key) {
            if let known = nearestName(to: key, among: messageKeys) {
                throw Refusal("message \(number): unknown key '\(key)'; did you mean '\(known)'?")
            }
        }
        let calls = try toolCalls(object["tool_calls"], number: number)
        if let calls { object["tool_calls"] = .array(calls) }
        let content: String
        switch object["content"] {
        case .string(let text)?: content = text
        case .array(let parts)?:
            // Templates of text models print such a list as it stands; those that know lists know texts, too.
            content = try parts.map { try text(ofPart: $0, number: number) }.joined()
            object["content"] = .string(content)
        case nil where calls != nil, .null? where calls != nil: content = ""
        default: throw Refusal("message \(number) must have a text 'role' and a text 'content'")
        }
        return PromptLine.Message(role: role, content: content, object: .object(object))
    }

    /// A message as it stands, or one of ShareGPT's form, `{"from": "human", "value": "..."}`, as its equal.
    private static func turn(_ value: JSONValue, number: Int) throws -> JSONValue {
        guard let from = value["from"]?.string, value["role"] == nil else { return value }
        guard let text = value["value"]?.string else { throw Refusal("message \(number) has no text 'value'") }
        if from == "function_call" {
            guard let call = try? JSONValue.parse(text), call.array != nil || call.object != nil else {
                throw Refusal("message \(number): a function_call must be JSON with 'name' and 'arguments'")
            }
            let calls = (call.array ?? [call]).map { JSONValue.object(["type": "function", "function": $0]) }
            return ["role": "assistant", "content": nil, "tool_calls": .array(calls)]
        }
        guard let role = shareGPTRoles[from] else {
            let known = (Array(shareGPTRoles.keys) + ["function_call"]).sorted().joined(separator: ", ")
            throw Refusal("message \(number): 'from' is '\(from.prefix(40))', not one of \(known)")
        }
        return ["role": .string(role), "content": .string(text)]
    }

    private static let shareGPTRoles = [
        "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
        "bing": "assistant", "bard": "assistant", "model": "assistant", "system": "system", "tool": "tool",
        "function": "tool", "function_response": "tool", "observation": "tool",
    ]

    private static func text(ofPart part: JSONValue, number: Int) throws -> String {
        guard let type = part["type"]?.string, type == "text", let text = part["text"]?.string else {
            let type = part["type"]?.string.map { " '\($0.prefix(40))'" } ?? ""
            throw Refusal("message \(number): a part\(type) of its content is no text, and only text is read")
        }
        return text
    }

    /// Calls whose arguments are objects, as templates take them: services write them as texts of JSON.
    private static func toolCalls(_ value: JSONValue?, number: Int) throws -> [JSONValue]? {
        guard let value, !value.isNull else { return nil }
        guard let calls = value.array, calls.allSatisfy({ $0.object != nil }) else {
            throw Refusal("message \(number): 'tool_calls' must be a list of objects")
        }
        guard !calls.isEmpty else { return nil }
        return try calls.map { call in
            guard var outer = call.object else { return call }
            // A call is the function itself, or has it under 'function'.
            var function = outer["function"]?.object ?? outer
            if let text = function["arguments"]?.string {
                guard let arguments = text.isEmpty ? [:] : try? JSONValue.parse(text), arguments.object != nil else {
                    throw Refusal(
                        "message \(number): the 'arguments' of a tool call must be an object, or JSON of one")
                }
                function["arguments"] = arguments
            }
            guard outer["function"]?.object != nil else { return .object(function) }
            outer["function"] = .object(function)
            return .object(outer)
        }
    }

    /// Refuses an object that has a key twice: which of the two is meant nobody knows.
    static func refuseRepetition(in object: JSONObject, named name: String = "") throws {
        var seen: Set<String> = []
        for member in object.members where !seen.insert(member.key).inserted {
            throw Refusal((name.isEmpty ? "" : name + ": ") + "key '\(member.key)' stands there twice")
        }
    }
}
