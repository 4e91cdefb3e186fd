import Wording

/// A file of profiles as the tools of AWS write it: sections in brackets, `key = value` in lines below, and indented lines
/// with keys of the key above.
package struct ProfileFile: Sendable, Equatable {
    /// The most bytes of such a file.
    package static let mostBytes = 1 << 20

    /// Values by section and key; one below another key is called `above.key`.
    package private(set) var sections: [String: [String: String]] = [:]

    package init() {}

    /// Reads the file.
    /// - Parameter path: for the error, which has no text of the file: it may be a secret.
    package init(_ text: String, path: String) throws(UsageError) {
        var section: String?, above: String?
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.trimmed
            if words.isEmpty || words.first == "#" || words.first == ";" { continue }
            if line.first == "[" {
                guard let end = words.firstIndex(of: "]") else {
                    throw UsageError("\(path): line \(index + 1) begins with '[' and has no ']'; mend it")
                }
                let name = words[..<end].dropFirst().split(whereSeparator: \.isWhitespace).joined(separator: " ")
                if sections[name] == nil { sections[name] = [:] }
                (section, above) = (name, nil)
                continue
            }
            guard let section, let equals = words.firstIndex(of: "=") else {
                throw UsageError("\(path): line \(index + 1) is no 'key = value' below a section in brackets; mend it")
            }
            let key = words[..<equals].trimmed.lowercased()
            let value = Self.withoutRemark(words[words.index(after: equals)...].trimmed)
            if line.first?.isWhitespace == true, let above {
                sections[section]?["\(above).\(key)"] = value
            } else {
                sections[section]?[key] = value
                above = value.isEmpty ? key : nil
            }
        }
    }

    /// A remark begins behind white space.
    private static func withoutRemark(_ value: Substring) -> String {
        var last: Character = "\n"
        for index in value.indices {
            if last.isWhitespace, value[index] == "#" || value[index] == ";" { return String(value[..<index].trimmed) }
            last = value[index]
        }
        return String(value)
    }
}
