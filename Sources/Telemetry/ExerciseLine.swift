import Distillation
import JSON

extension Exercise {
    /// The exercise as a line of a prompt file, with its worked response and its verifier.
    package var jsonLine: String {
        JSONText.object([
            ("prompt", JSONText.string(prompt)), ("response", JSONText.string(response)),
            ("answer", JSONText.string(check.answer)), ("verifier", check.verifier.json),
            ("tags", "[" + tags.map(JSONText.string).joined(separator: ", ") + "]"),
        ])
    }
}

extension Verifier {
    /// The verifier as prompt files write it.
    var json: String {
        var fields = [("name", JSONText.string(name))]
        func add(after: String?) { if let after { fields.append(("after", JSONText.string(after))) } }
        switch self {
        case .exact(let after, let ignoresCase):
            add(after: after)
            if ignoresCase { fields.append(("ignore_case", "true")) }
        case .numeric(let after, let tolerance):
            add(after: after)
            if tolerance > 0 { fields.append(("tolerance", JSONText.number(tolerance))) }
        case .regex(let pattern, let after):
            add(after: after)
            if let pattern { fields.append(("pattern", JSONText.string(pattern.source))) }
        case .rules(let rules):
            fields.append(("rules", "[" + rules.map { JSONText.string("\($0)") }.joined(separator: ", ") + "]"))
        }
        return fields.count == 1 ? JSONText.string(name) : JSONText.object(fields)
    }
}
