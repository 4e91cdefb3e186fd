/// A value as a configuration file writes it.
package enum ConfigurationValue: Sendable, Equatable {
    case integer(Int), number(Double), flag(Bool), text(String)
    /// Some of a key's names; none: all of them.
    case names([String])
    /// A mapping, as JSON; nil without any.
    case mapping(String?)
    case list([String])
}

extension ConfigurationValue {
    /// A text that need not be given: without one the value is that of a key that says nothing.
    init(text: String?) { self = .text(text ?? "") }

    /// The text, nil for a key that says nothing, and for values of other kinds.
    var optionalText: String? {
        if case .text(let value) = self, !value.isEmpty { value } else { nil }
    }
}

extension ConfigurationValue: CustomStringConvertible {
    /// The value as YAML; text is quoted when it would be read as something else.
    package var description: String {
        switch self {
        case .integer(let value): String(value)
        case .number(let value): short(value)
        case .flag(let value): value ? "true" : "false"
        case .text(let value): yamlText(value)
        case .mapping(let text): text ?? "''"
        case .list(let texts):
            texts.count == 1 ? yamlText(texts[0]) : "[" + texts.map(yamlText).joined(separator: ", ") + "]"
        case .names(let names): names.isEmpty ? "all" : "[" + names.joined(separator: ", ") + "]"
        }
    }
}

/// A number without a needless fraction: `1`, `0.5`, `1e-08`.
func short(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
}

/// Plain where YAML reads it back as the same text, else in single quotes; control characters in double quotes.
func yamlText(_ value: String) -> String {
    let plain = value.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+".contains($0)) }
    if plain, let first = value.first, first.isLetter || "/._".contains(first),
        !["true", "false", "null", "yes", "no", "on", "off", "~"].contains(value.lowercased())
    {
        return value
    }
    if value.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) {
        let escaped = value.unicodeScalars.map { scalar -> String in
            switch scalar {
            case "\"": return "\\\""
            case "\\": return "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let hex = String(scalar.value, radix: 16)
                return "\\x" + (hex.count == 1 ? "0" : "") + hex
            default: return String(scalar)
            }
        }
        return "\"" + escaped.joined() + "\""
    }
    return "'" + value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
}
