import RunFiles
import Telemetry
import Wire

/// The last numbers of the runs in Prometheus's text format 0.0.4.
struct PrometheusText {
    private var lines: [String] = []
    private let runs: [WatchedRun]

    var text: String { lines.joined(separator: "\n") + "\n" }

    init(_ runs: [WatchedRun]) {
        self.runs = runs
        gauge("opd_step", "Steps that are done.") { [($0.digest?.metrics.last("step")?.value, [])] }
        gauge("opd_steps_wanted", "Steps of the whole run.") {
            [($0.digest?.configuration.configuration.map { Double($0.training.steps) }, [])]
        }
        gauge("opd_run_active", "Whether a process of this machine has the run's folder.") {
            [($0.digest == nil ? nil : $0.isHeld ? 1 : 0, [])]
        }
        for (index, name) in ["generated", "trained", "discarded"].enumerated() {
            counter("opd_tokens_\(name)_total", "Response tokens that were \(name).") {
                [($0.digest?.metrics.ledger?[index], [])]
            }
        }
        gauge("opd_tokens_in_flight", "Response tokens that are sampled and not trained on yet.") {
            [($0.digest?.metrics.ledger?[3], [])]
        }
        counter("opd_operations_total", "Floating-point operations of models, by stage.") { run in
            guard let cost = run.digest?.metrics.cost else { return [] }
            return zip(["sampling", "scoring", "training"], cost).map { ($1, [("stage", $0)]) }
        }
        counter("opd_bad_steps_total", "Steps that were given up.") {
            [($0.digest.map { Double($0.metrics.badSteps.total) }, [])]
        }
        counter("opd_restarts_total", "Restarts of the learner.") {
            [($0.digest.map { Double($0.restarts.restarts.total) }, [])]
        }
        for column in MetricsColumns.series + MetricsColumns.evaluation {
            let name = "\(column)"
            let unit = name.hasSuffix("_s") ? "\(name.dropLast(2))_seconds" : name
            gauge("opd_\(unit)", "The last \(name) of metrics.jsonl.") { [($0.digest?.metrics.last(name)?.value, [])] }
        }
        for member in MetricsColumns.named {
            // What a member's names are the names of stands at its end.
            let label = "\(member)".split(separator: "_").last.map(String.init) ?? ""
            gauge("opd_\(member)", "The last \(member) of metrics.jsonl.") { run in
                (run.digest?.metrics.lastNamed("\(member)") ?? []).map { ($0.value, [(label, $0.name)]) }
            }
        }
        learners()
    }

    private mutating func learners() {
        func status(_ run: WatchedRun) -> Status? {
            guard case .status(let status) = run.answer else { return nil }
            return status
        }
        gauge("opd_learner_up", "Whether the learner answers.") {
            [($0.answer == nil ? nil : status($0) == nil ? 0 : 1, [])]
        }
        gauge("opd_queue_prompts", "Prompts that wait for a rollout worker.") {
            [(status($0).map { Double($0.pendingGroups) }, [])]
        }
        gauge("opd_queue_responses", "Responses that wait for a scorer.") {
            (status($0)?.queues ?? []).prefix(256).map { (Double($0.waiting), [("teacher", $0.teacher)]) }
        }
        gauge("opd_leases", "Tasks that members hold.") { [(status($0).map { Double($0.leases) }, [])] }
        let members: [(name: String, help: String, value: (Status.Member) -> Double)] = [
            ("tasks", "Tasks that a member holds.", { Double($0.tasks) }),
            ("silence_seconds", "Time since a member's last message.", { $0.silenceSeconds }),
            ("tokens_per_second", "Pace of a member.", { $0.tokensPerSecond }),
        ]
        for member in members {
            gauge("opd_member_\(member.name)", member.help) { run in
                (status(run)?.members ?? []).prefix(1024).map {
                    (member.value($0), [("member", $0.name), ("role", $0.role.rawValue)])
                }
            }
        }
    }

    private typealias Values = (WatchedRun) -> [(value: Double?, labels: [(String, String)])]

    private mutating func gauge(_ name: String, _ help: String, _ values: Values) { add(name, "gauge", help, values) }

    private mutating func counter(_ name: String, _ help: String, _ values: Values) {
        add(name, "counter", help, values)
    }

    /// A metric that no run has is left out.
    private mutating func add(_ name: String, _ type: String, _ help: String, _ values: Values) {
        var found: [String] = []
        var seen: Set<String> = []
        for run in runs {
            for (value, labels) in values(run) {
                guard let value, value.isFinite else { continue }
                let list = ([("run", run.name)] + labels).map { "\($0.0)=\"\(Self.escaped($0.1))\"" }
                let series = "\(name){\(list.joined(separator: ","))}"
                // Members may have one name; a series comes once.
                if seen.insert(series).inserted { found.append("\(series) \(value)") }
            }
        }
        guard !found.isEmpty else { return }
        lines += ["# HELP \(name) \(help)", "# TYPE \(name) \(type)"] + found
    }

    private static func escaped(_ label: String) -> String {
        RunText.cut(label, to: 200).replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
    }
}
