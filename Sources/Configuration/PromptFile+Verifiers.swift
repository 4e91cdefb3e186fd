import Distillation
import JSON

extension PromptFile {
    /// What judges the responses to a line: `"verifier": "exact"`, or an object with the verifier's `name` and settings.
    static func check(_ value: JSONValue?, answer: String?) throws -> AnswerCheck? {
        guard let value, !value.isNull else { return nil }
        let fields: JSONObject
        if let name = value.string {
            fields = ["name": .string(name)]
        } else if let object = value.object {
            try refuseRepetition(in: object, named: "verifier")
            fields = object
        } else {
            throw Refusal(message: "'verifier' must be a name or an object such as {\"name\": \"exact\"}")
        }
        do {
            return try AnswerCheck(answer: answer ?? "", verifier: try verifier(VerifierFields(fields)))
        } catch let error as VerifierError {
            throw Refusal(message: error.message)
        }
    }

    private static func verifier(_ fields: VerifierFields) throws -> Verifier {
        guard let name = try fields.text("name") else { throw Refusal(message: "'verifier' has no 'name'") }
        switch name {
        case "exact":
            try fields.allow("after", "ignore_case")
            return .exact(after: try fields.text("after"), ignoresCase: try fields.flag("ignore_case"))
        case "numeric":
            try fields.allow("after", "tolerance")
            return .numeric(after: try fields.text("after"), tolerance: try fields.number("tolerance"))
        case "regex":
            try fields.allow("after", "pattern")
            let pattern = try fields.text("pattern").map { try ResponsePattern($0) }
            return .regex(pattern, after: try fields.text("after"))
        case "rules":
            try fields.allow("rules")
            return .rules(try fields.texts("rules").map { try FormatRule($0) })
        default:
            let hint =
                nearestName(to: name, among: Verifier.names).map { "did you mean '\($0)'?" }
                ?? "expected one of \(Verifier.names.joined(separator: ", "))"
            throw Refusal(message: "unknown verifier '\(name)'; \(hint)")
        }
    }
}

/// The members of a verifier's object, with refusals that name them.
private struct VerifierFields {
    let fields: JSONObject

    init(_ fields: JSONObject) { self.fields = fields }

    func allow(_ names: String...) throws {
        for key in fields.members.map(\.key).sorted() where key != "name" && !names.contains(key) {
            let name = fields["name"]?.string ?? ""
            throw Refusal(message: "verifier \(name) has no '\(key)'; it takes \(names.joined(separator: ", "))")
        }
    }

    private func value(_ key: String) -> JSONValue? {
        guard let value = fields[key], !value.isNull else { return nil }
        return value
    }

    func text(_ key: String) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.string else { throw Refusal(message: "verifier: '\(key)' must be text") }
        return text
    }

    func texts(_ key: String) throws -> [String] {
        let list = value(key)?.array ?? [], texts = list.compactMap(\.string)
        guard !list.isEmpty, texts.count == list.count, list.count <= 64 else {
            throw Refusal(message: "verifier: '\(key)' must be a list of 1 to 64 texts, such as [\"max_words 5\"]")
        }
        return texts
    }

    func flag(_ key: String) throws -> Bool {
        guard let value = value(key) else { return false }
        guard let flag = value.bool else {
            throw Refusal(message: "verifier: '\(key)' must be true or false")
        }
        return flag
    }

    func number(_ key: String) throws -> Double {
        guard let value = value(key) else { return 0 }
        guard let number = value.double, number.isFinite, number >= 0 else {
            throw Refusal(message: "verifier: '\(key)' must be a number of at least 0")
        }
        return number
    }
}
