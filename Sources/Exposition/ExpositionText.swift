/// Numbers in Prometheus's text format 0.0.4: every metric with what it means, its type and its series.
package struct ExpositionText: Sendable {
    /// Names and values that tell a series from the others of its metric.
    package typealias Labels = [(name: String, value: String)]
    /// A number under a name that begins with the metric's, such as `NAME_sum`.
    package typealias Series = (suffix: String, labels: Labels, value: Double?)

    private var lines: [String] = []

    package init() {}

    package var text: String { lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n" }

    package mutating func add(_ metric: RunMetric, _ series: [(labels: Labels, value: Double?)]) {
        add(metric.name, metric.kind, metric.help, series.map { ("", $0.labels, $0.value) })
    }

    /// Adds a metric; one without numbers is left out, and of a series that comes twice the first counts.
    mutating func add(_ name: String, _ kind: RunMetric.Kind, _ help: String, _ series: [Series]) {
        var found: [String] = []
        var seen: Set<String> = []
        for (suffix, labels, value) in series {
            guard let value, value.isFinite else { continue }
            let list = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",")
            let key = name + suffix + (list.isEmpty ? "" : "{\(list)}")
            if seen.insert(key).inserted { found.append("\(key) \(value)") }
        }
        guard !found.isEmpty else { return }
        lines += ["# HELP \(name) \(help)", "# TYPE \(name) \(kind.rawValue)"] + found
    }

    /// Most characters of a label's value: names of members and tags are somebody's own.
    private static let longestLabel = 200

    /// Scalar by scalar: a carriage return and a line feed are one character.
    private static func escaped(_ value: String) -> String {
        var text = String.UnicodeScalarView()
        for scalar in value.unicodeScalars.prefix(longestLabel) {
            switch scalar {
            case "\\", "\"": text += ["\\", scalar]
            case "\n": text += ["\\", "n"]
            default: text.append(scalar)
            }
        }
        if value.unicodeScalars.count > longestLabel { text.append("\u{2026}") }
        return String(text)
    }
}
