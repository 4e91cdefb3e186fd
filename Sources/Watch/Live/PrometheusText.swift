import Exposition
import RunFiles
import Telemetry
import Wire

/// The last numbers of the runs for Prometheus.
struct PrometheusText {
    private var exposition = ExpositionText()
    private let runs: [WatchedRun]

    var text: String { exposition.text }

    init(_ runs: [WatchedRun]) {
        self.runs = runs
        add(.step) { [($0.digest?.metrics.last("step")?.value, [])] }
        add(.stepsWanted) { [($0.digest?.configuration.configuration.map { Double($0.training.steps) }, [])] }
        add(.isActive) { [($0.digest == nil ? nil : $0.isHeld ? 1 : 0, [])] }
        for (index, metric) in [RunMetric.generated, .trained, .discarded, .inFlight].enumerated() {
            add(metric) { [($0.digest?.metrics.ledger?[index], [])] }
        }
        add(.operations) { run in
            guard let cost = run.digest?.metrics.cost else { return [] }
            return zip(["sampling", "scoring", "training"], cost).map { ($1, [("stage", $0)]) }
        }
        add(.badSteps) { [($0.digest.map { Double($0.metrics.badSteps.total) }, [])] }
        add(.restarts) { [($0.digest.map { Double($0.restarts.restarts.total) }, [])] }
        for column in MetricsColumns.series + MetricsColumns.evaluation {
            add(.column("\(column)")) { [($0.digest?.metrics.last("\(column)")?.value, [])] }
        }
        for member in MetricsColumns.named {
            let label = RunMetric.label(ofParts: "\(member)")
            add(.column("\(member)")) { run in
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
        add(.isLearnerUp) { [($0.answer == nil ? nil : status($0) == nil ? 0 : 1, [])] }
        add(.queuedPrompts) { [(status($0).map { Double($0.pendingGroups) }, [])] }
        add(.queuedResponses) {
            (status($0)?.queues ?? []).prefix(256).map { (Double($0.waiting), [("teacher", $0.teacher)]) }
        }
        add(.leases) { [(status($0).map { Double($0.leases) }, [])] }
        let members: [(metric: RunMetric, value: (Status.Member) -> Double)] = [
            (.memberTasks, { Double($0.tasks) }), (.memberSilence, { $0.silenceSeconds }),
            (.memberPace, { $0.tokensPerSecond }),
        ]
        for member in members {
            add(member.metric) { run in
                (status(run)?.members ?? []).prefix(1024).map {
                    (member.value($0), [("member", $0.name), ("role", $0.role.rawValue)])
                }
            }
        }
    }

    /// Adds what the runs say; members may have one name, of which the first counts.
    private mutating func add(
        _ metric: RunMetric, _ values: (WatchedRun) -> [(value: Double?, labels: ExpositionText.Labels)]
    ) {
        exposition.add(
            metric, runs.flatMap { run in values(run).map { ([("run", run.name)] + $0.labels, $0.value) } })
    }
}
