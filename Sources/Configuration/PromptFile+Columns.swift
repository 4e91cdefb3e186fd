import JSON

/// Which columns of a file a prompt is read from, where they have other names: `data.fields`. Nil: not named.
package struct PromptFields: Sendable, Equatable {
    package var prompt: String?
    package var messages: String?
    package var system: String?
    package var tools: String?
    package var answer: String?
    package var verifier: String?
    package var response: String?
    package var teacher: String?
    package var tags: String?

    package init() {}

    /// What is named: the key of a prompt, and the file's name for it.
    var named: [(key: String, column: String)] {
        let columns: [(key: String, column: String?)] = [
            ("prompt", prompt), ("messages", messages), ("system", system), ("tools", tools), ("answer", answer),
            ("verifier", verifier), ("response", response), ("teacher", teacher), ("tags", tags),
        ]
        return columns.compactMap { key, column in column.map { (key, $0) } }
    }
}

/// Turns the records of a file into objects with the keys of a prompt, and remembers what it did not use.
///
/// Without names, a record with `conversations` is read as ShareGPT writes it and one with `instruction` as Alpaca does;
/// all others have the keys of this project, and no others.
struct PromptColumns {
    private let fields: [(key: String, column: String)]
    /// Columns that no prompt was made of, in the order in which they were met.
    private(set) var ignored: [String] = []
    private var ignoredNames: Set<String> = []
    /// Columns of `data.fields` that some record has.
    private var found: Set<String> = []
    /// Columns that records have, for a name that was mistyped.
    private var columns: Set<String> = []
    /// Conversations that end with the assistant, whose last message is no part of the prompt.
    var endedConversations = 0

    /// Names, in the file, of what only teachers are shown.
    private let contextFields: Set<String>

    init(_ fields: PromptFields, contextFields: Set<String> = []) {
        self.fields = fields.named
        self.contextFields = contextFields
    }

    /// The record with the keys of a prompt.
    mutating func prompt(_ record: JSONObject) throws -> JSONObject {
        try PromptFile.refuseRepetition(in: record)
        if !fields.isEmpty { return try mapped(record) }
        if record["messages"] != nil || record["prompt"] != nil { return own(record) }
        if record["conversations"] != nil {
            ignore(record, except: ["conversations", "system", "tools"])
            var prompt = JSONObject()
            for (key, column) in [("messages", "conversations"), ("system", "system"), ("tools", "tools")] {
                prompt[key] = record[column]
            }
            return prompt
        }
        if record["instruction"] != nil { return try alpaca(record) }
        return own(record)
    }

    /// What is wrong with the file as a whole, once all records were read.
    var flaw: String? {
        for (key, column) in fields where !found.contains(column) {
            let near = nearestName(to: column, among: columns.sorted())
            return "data.fields.\(key): nothing here has '\(column)'"
                + (near.map { "; did you mean '\($0)'?" }
                    ?? "; there are \(columns.sorted().prefix(20).joined(separator: ", "))")
        }
        return nil
    }

    /// What a person should know of how the file was read, one line each.
    var notes: [String] {
        var notes: [String] = []
        if !ignored.isEmpty {
            let shown = ignored.prefix(12).map { $0.isEmpty ? "''" : $0 }.joined(separator: ", ")
            notes.append("ignores " + shown + (ignored.count > 12 ? " and \(ignored.count - 12) more columns" : ""))
        }
        if endedConversations > 0 {
            notes.append(
                "\(endedConversations) conversation\(endedConversations == 1 ? " ends" : "s end") with a message of the "
                    + "assistant, which is no part of the prompt")
        }
        return notes
    }

    /// Most names that are remembered: a stranger's file may have a new one in every line.
    private static let nameLimit = 1000

    private mutating func ignore(_ record: JSONObject, except used: Set<String>) {
        let used = used.union(contextFields.map { path($0, in: record).first ?? $0 })
        for key in record.members.map(\.key) where !used.contains(key) && ignored.count < Self.nameLimit {
            if ignoredNames.insert(key).inserted { ignored.append(key) }
        }
    }

    // MARK: Forms

    /// A record with the keys of this project; a service's settings of a request are none of them.
    private mutating func own(_ record: JSONObject) -> JSONObject {
        var record = record
        // What is a prompt's too stays.
        for field in contextFields.map({ path($0, in: record).first ?? $0 }) where !PromptFile.allKeys.contains(field) {
            record[field] = nil
        }
        // Row numbers, as tables have them that Python writes.
        for key in ["parallel_tool_calls", ""] where record[key] != nil {
            if ignoredNames.insert(key).inserted { ignored.append(key) }
            record[key] = nil
        }
        if let completion = record["completion"], record["response"] == nil {
            record["response"] = response(completion)
            record["completion"] = nil
        }
        return record
    }

    private mutating func mapped(_ record: JSONObject) throws -> JSONObject {
        if columns.count < Self.nameLimit { columns.formUnion(record.members.map(\.key)) }
        var prompt = JSONObject(), used: Set<String> = []
        for (key, column) in fields {
            used.insert(path(column, in: record).first ?? column)
            guard let value = value(column, in: record) else {
                guard key != "prompt", key != "messages" else {
                    throw Refusal("has no '\(column)', which data.fields.\(key) names")
                }
                continue
            }
            found.insert(column)
            switch (key, value) {
            case ("answer", .integer), ("answer", .number): prompt[key] = .string(value.text(pretty: false))
            case ("response", _): prompt[key] = response(value)
            default: prompt[key] = value
            }
        }
        ignore(record, except: used)
        return prompt
    }

    /// What a teacher is shown of a record beside its prompt: the text, or number, of a field.
    func context(_ field: String, in record: JSONObject, of label: String) throws -> String {
        guard let value = value(field, in: record), value != "" else {
            throw Refusal("has no '\(field)', which teachers.\(label).context_field names")
        }
        switch value {
        case .string(let text): return text
        case .integer, .number: return value.text(pretty: false)
        default: throw Refusal("'\(field)', which teachers.\(label).context_field names, must be text")
        }
    }

    /// The names that lead to a column: its own or, where a record has none of it, those between its dots.
    private func path(_ column: String, in record: JSONObject) -> [String] {
        record[column] != nil ? [column] : column.split(separator: ".").map(String.init)
    }

    /// What a record has in a column; nil for nothing.
    private func value(_ column: String, in record: JSONObject) -> JSONValue? {
        let path = path(column, in: record)
        let value = path.dropFirst().reduce(path.first.flatMap { record[$0] }) { $0?[$1] }
        return value?.isNull == false ? value : nil
    }

    private mutating func alpaca(_ record: JSONObject) throws -> JSONObject {
        ignore(record, except: ["instruction", "input", "output", "system", "history"])
        if let history = record["history"], !history.isNull, history != [], history != "" {
            throw Refusal("has a 'history', which is not read; write the conversation as 'messages'")
        }
        guard let instruction = record["instruction"]?.string, !instruction.isEmpty else {
            throw Refusal("'instruction' must be text that is not empty")
        }
        var text = instruction
        if let input = record["input"], !input.isNull {
            guard let input = input.string else { throw Refusal("'input' must be text") }
            if !input.isEmpty { text += "\n\n" + input }
        }
        var prompt: JSONObject = ["prompt": .string(text)]
        prompt["system"] = record["system"]
        if let output = record["output"], output != "" { prompt["response"] = output }
        return prompt
    }

    /// A response as text, also where it is a list of the assistant's one message.
    private func response(_ value: JSONValue) -> JSONValue {
        guard let list = value.array, list.count == 1, list[0]["role"] == "assistant" else { return value }
        return list[0]["content"] ?? value
    }
}
