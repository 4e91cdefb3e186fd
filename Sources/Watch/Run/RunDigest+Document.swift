import JSON
import RunFiles

extension RunDigest {
    /// The run as one JSON object, which the page draws: what is absent in the run is absent in it, or null in a list
    /// of values that other steps have. docs/watching.md has its members.
    package var document: String {
        JSONText.object(
            headFields + configurationFields + curveFields(from: 0) + evaluationFields + stageFields + [
                ("samples", "[" + sampleList.joined(separator: ",\n") + "]")
            ])
    }

    /// The responses that are shown, an object each.
    var sampleList: [String] { samples.json(of: run, budget: bounds.sampleBytes) }

    /// All but the configuration, the curves and the responses: what is small, and changes with every step.
    var headFields: [(name: String, json: String)] {
        var fields: [(name: String, json: String)] = [
            ("name", Self.text(name)), ("path", Self.text(run.path)),
            ("facts", Self.pairs(facts)), ("notes", Self.texts(notes)),
        ]
        if let configuration = configuration.configuration {
            fields += [
                ("kind", Self.text(configuration.objective.kind.rawValue)),
                ("steps_wanted", String(configuration.training.steps)),
            ]
        }
        if let step = metrics.last("step") { fields.append(("steps_done", JSONText.number(step.value))) }
        if let ledger = metrics.ledger {
            let names = ["generated", "trained", "discarded", "in_flight"]
            fields.append(("ledger", JSONText.object(zip(names, ledger).map { ($0, Self.whole($1)) })))
        }
        if let cost = metrics.cost {
            let names = ["sampling", "scoring", "training"]
            fields.append(("flops", JSONText.object(zip(names, cost).map { ($0, JSONText.number($1)) })))
        }
        return fields + [
            ("lines_per_point", String(metrics.series.linesPerPoint)), ("last", lastObject),
            ("checkpoints", "[" + checkpoints.map { String($0.step) }.joined(separator: ",") + "]"),
            ("bad_steps", badSteps), ("restarts", restartList), ("samples_total", String(samples.total)),
        ]
    }

    var configurationFields: [(name: String, json: String)] {
        guard configuration.configuration != nil else { return [] }
        return [("configuration", Self.pairs(configuration.values.map { ($0.key, $0.value) }))]
    }

    /// The curves from one of their points on: `mean`, and `low` and `high` where a point stands for several steps.
    func curveFields(from: Int) -> [(name: String, json: String)] {
        let series = metrics.series
        var curves: [(name: String, json: String)] = []
        let own = metrics.names.enumerated().map { (name: $1, values: metrics.named?.values(of: $0, from: from)) }
        let columns = MetricsColumns.series.enumerated().map {
            (name: "\($1)", values: series.values(of: $0, from: from))
        }
        for (name, values) in columns + own {
            guard let (means, lows, highs) = values else { continue }
            let isExact = lows == nil
            var curve = [("mean", Self.numbers(means, isExact: isExact))]
            if let lows { curve.append(("low", Self.numbers(lows, isExact: isExact))) }
            if let highs { curve.append(("high", Self.numbers(highs, isExact: isExact))) }
            curves.append((name, JSONText.object(curve)))
        }
        return [("ends", Self.ends(Array(series.ends.dropFirst(from)))), ("series", JSONText.object(curves))]
    }

    var evaluationFields: [(name: String, json: String)] { [("evaluations", evaluationObject)] }

    var stageFields: [(name: String, json: String)] { [("spans", stages.json ?? "null")] }

    private var evaluationObject: String {
        let evaluations = metrics.evaluations.elements
        var fields = [("ends", Self.ends(evaluations.map(\.end)))]
        for (index, name) in MetricsColumns.evaluation.enumerated() {
            let values = evaluations.map { $0.values[index] }
            guard values.contains(where: \.isFinite) else { continue }
            fields.append(("\(name)", Self.numbers(values, isExact: true)))
        }
        return JSONText.object(fields)
    }

    /// The last number of every name, as it stands in the file, with its step and as `opd inspect` writes it.
    private var lastObject: String {
        var fields: [(name: String, json: String)] = []
        for column in MetricsColumns.series + MetricsColumns.evaluation {
            guard let (first, last) = metrics.range(of: "\(column)") else { continue }
            func found(_ found: MetricsDigest.Found) -> String {
                JSONText.object([
                    ("step", Self.whole(found.step)), ("value", JSONText.number(found.value)),
                    ("text", Self.text(found.text)),
                ])
            }
            fields.append(("\(column)", JSONText.object([("first", found(first)), ("last", found(last))])))
        }
        return JSONText.object(fields)
    }

    private var badSteps: String {
        let listed = metrics.badSteps.elements.map {
            JSONText.object([("step", Self.whole($0.step)), ("why", Self.text($0.reason))])
        }
        return JSONText.object([
            ("total", String(metrics.badSteps.total)), ("listed", "[" + listed.joined(separator: ",") + "]"),
        ])
    }

    private var restartList: String {
        let listed = restarts.restarts.elements.map {
            JSONText.object([("step", String($0.step)), ("time", Self.text($0.time))])
        }
        return JSONText.object([
            ("total", String(restarts.restarts.total)), ("listed", "[" + listed.joined(separator: ",") + "]"),
        ])
    }

    // MARK: Pieces

    private static func text(_ text: String) -> String { JSONText.string(RunText.cut(text, to: 4000)) }

    private static func texts(_ texts: [String]) -> String {
        "[" + texts.prefix(100).map(text).joined(separator: ",") + "]"
    }

    private static func pairs(_ pairs: [(label: String, text: String)]) -> String {
        "[" + pairs.prefix(1000).map { "[\(text($0.label)),\(text($0.text))]" }.joined(separator: ",") + "]"
    }

    /// A count, which is whole and exact.
    private static func whole(_ value: Double) -> String {
        value.isFinite && abs(value) < 9.1e15 ? String(Int(value)) : "null"
    }

    /// Steps, seconds, trained tokens and operations of the points, a list each; operations only where they are counted.
    private static func ends(_ ends: [SIMD4<Double>]) -> String {
        var fields: [(name: String, json: String)] = []
        for (index, name) in ["step", "seconds", "tokens", "flops"].enumerated() {
            let values = ends.map { $0[index] }
            guard values.contains(where: \.isFinite) || values.isEmpty else { continue }
            fields.append((name, numbers(values, isExact: index == 0 || index == 2)))
        }
        return JSONText.object(fields)
    }

    /// - Parameter isExact: whether the numbers are those of the file; means need no more than seven digits.
    private static func numbers(_ values: [Double], isExact: Bool) -> String {
        let texts = values.map { value -> String in
            guard value.isFinite else { return "null" }
            if value == value.rounded(.towardZero), abs(value) < 9.1e15 { return String(Int(value)) }
            return JSONText.number(isExact ? value : shortened(value))
        }
        return "[" + texts.joined(separator: ",") + "]"
    }

    /// The number with seven digits.
    static func shortened(_ value: Double) -> Double {
        guard value.isFinite, value != 0 else { return value }
        var scale = 1.0, size = abs(value)
        guard size > 1e-12, size < 1e12 else { return value }
        while size < 1e6 {
            size *= 10
            scale *= 10
        }
        return (value * scale).rounded() / scale
    }
}
