extension JSONValue {
    /// The value as JSON text; with `pretty`, indented by two spaces as Hugging Face libraries write their files.
    package func text(pretty: Bool = true) -> String {
        var writer = JSONWriter(pretty: pretty)
        writer.write(self, depth: 0)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// A writer of one text.
private struct JSONWriter {
    let pretty: Bool
    var bytes: [UInt8] = []

    init(pretty: Bool) { self.pretty = pretty }

    mutating func write(_ value: JSONValue, depth: Int) {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .integer(let value): append(String(value))
        case .number(let value): append(String(value))
        case .string(let value): write(value)
        case .array(let values):
            guard !values.isEmpty else { return append("[]") }
            append("[")
            for (index, element) in values.enumerated() {
                if index > 0 { append(",") }
                newline(depth + 1)
                write(element, depth: depth + 1)
            }
            newline(depth)
            append("]")
        case .object(let object):
            guard !object.members.isEmpty else { return append("{}") }
            append("{")
            for (index, member) in object.members.enumerated() {
                if index > 0 { append(",") }
                newline(depth + 1)
                write(member.key)
                append(pretty ? ": " : ":")
                write(member.value, depth: depth + 1)
            }
            newline(depth)
            append("}")
        }
    }

    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func newline(_ depth: Int) {
        guard pretty else { return }
        bytes.append(0x0A)
        for _ in 0..<depth { append("  ") }
    }

    mutating func write(_ text: String) { JSONText.append(text, to: &bytes) }
}
