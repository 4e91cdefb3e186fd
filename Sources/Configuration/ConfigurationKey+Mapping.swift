import JSON
import Yams

extension ConfigurationKey {
    /// A mapping of names to values of any kind, as JSON, which YAML reads back.
    func mapping(_ node: Node) -> Result<ConfigurationValue, Refusal> {
        guard let value = Self.json(node, depth: 0) else {
            return .failure(Refusal(message: "expected \(expectation) that nest at most 16 levels deep"))
        }
        return .success(.mapping(value == JSONValue.object(JSONObject()) ? nil : value.text(pretty: false)))
    }

    /// YAML's values by its core schema; nil for what is none of them.
    private static func json(_ node: Node, depth: Int) -> JSONValue? {
        guard depth <= 16 else { return nil }
        switch node {
        case .scalar(let scalar): return json(scalar)
        case .sequence(let sequence):
            let values = sequence.map { json($0, depth: depth + 1) }
            let known = values.compactMap { $0 }
            return known.count == values.count ? .array(known) : nil
        case .mapping(let mapping):
            var object = JSONObject()
            for (key, value) in mapping {
                guard let name = key.string, let value = json(value, depth: depth + 1) else { return nil }
                object[name] = value
            }
            return .object(object)
        default: return nil
        }
    }

    private static func json(_ scalar: Node.Scalar) -> JSONValue {
        let text = scalar.string
        guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if let integer = Int(text) { return .integer(integer) }
        if let first = text.utf8.first, (0x30...0x39).contains(first) || "+-.".utf8.contains(first),
            let number = Double(text), number.isFinite
        {
            return .number(number)
        }
        return .string(text)
    }
}
