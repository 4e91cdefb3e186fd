extension ConfigurationSchema {
    /// The key with this full name; any label stands in a `*`'s place.
    package static func key(_ path: [String]) -> (key: ConfigurationKey, label: String)? {
        for key in keys {
            let pattern = key.path.split(separator: ".").map(String.init)
            guard pattern.count == path.count else { continue }
            if zip(pattern, path).allSatisfy({ $0 == "*" || $0 == $1 }) {
                let label = zip(pattern, path).first { $0.0 == "*" }?.1 ?? ""
                return (key, label)
            }
        }
        return nil
    }

    /// Names allowed directly under a section; `*` where the user chooses labels. Empty: no such section.
    package static func names(under section: [String]) -> [String] {
        var names: [String] = []
        for key in keys {
            let pattern = key.path.split(separator: ".").map(String.init)
            guard pattern.count > section.count, zip(pattern, section).allSatisfy({ $0 == "*" || $0 == $1 }) else {
                continue
            }
            if !names.contains(pattern[section.count]) { names.append(pattern[section.count]) }
        }
        return names
    }

    /// Rows of the table in docs/configuration.md: key, values, default, meaning.
    package static var referenceRows: [String] {
        keys.map { key in
            let path = key.path.split(separator: ".").map { $0 == "*" ? "<label>" : String($0) }.joined(separator: ".")
            let standard = key.required ? "required" : key.defaultText.map { "`\($0)`" } ?? "none"
            return "| `\(path)` | \(key.expectation) | \(standard) | \(key.summary) |"
        }
    }
}
