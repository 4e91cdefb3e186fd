import CoreMetrics
import Distillation
import Exchange
import Exposition
import JSON
import Locking
import Telemetry
import Wire

/// What a learner tells of its run by swift-metrics, under the names by which a watcher tells it.
struct LearnerMeters: Sendable {
    private struct Told: Sendable {
        /// The counts so far, which swift-metrics takes in parts.
        var counts: [String: Double] = [:]
        /// Teachers whose queues were told of: an empty one is told as such.
        var teachers: Set<String> = []
    }

    private let factory: any MetricsFactory
    private let told = Locked(Told())

    /// - Parameter steps: of the whole run.
    init(_ factory: any MetricsFactory, steps: Int) {
        self.factory = factory
        set(.stepsWanted, to: Double(steps))
        count(.badSteps, to: 0)
    }

    /// Tells what a line of `metrics.jsonl` says.
    func record(_ metrics: StepMetrics) {
        set(.step, to: Double(metrics.step))
        let tokens = metrics.tokens
        count(.generated, to: Double(tokens.generated))
        count(.trained, to: Double(tokens.trained))
        count(.discarded, to: Double(tokens.discarded))
        set(.inFlight, to: Double(tokens.inFlight))
        if let cost = metrics.cost {
            for (stage, value) in [
                ("sampling", cost.sampling), ("scoring", cost.scoring), ("training", cost.training),
            ] { count(.operations, [("stage", stage)], to: value) }
        }
        if metrics.skipped != nil {
            count(.badSteps, to: 1 + told.withLock { $0.counts[RunMetric.badSteps.name] ?? 0 })
        }
        // One list of names: that of metrics.jsonl.
        guard let line = try? JSONValue.parse(Array(metrics.jsonLine.utf8)).object else { return }
        for member in line.members where !Self.hasOwnName(member.key) {
            if let number = member.value.double { set(.column(member.key), to: number) }
            let label = RunMetric.label(ofParts: member.key)
            for part in member.value.object?.members ?? [] {
                if let number = part.value.double { set(.column(member.key), [(label, part.key)], to: number) }
            }
        }
    }

    private static func hasOwnName(_ member: String) -> Bool {
        ["step", "version"].contains(member) || member.hasPrefix("tokens_") || member.hasSuffix("_flops")
    }

    /// Tells what the exchange knows of members and queues.
    func record(_ status: Status) {
        set(.queuedPrompts, to: Double(status.pendingGroups))
        set(.leases, to: Double(status.leases))
        for role in Role.allCases {
            set(.members, [("role", role.rawValue)], to: Double(status.members.count { $0.role == role }))
        }
        let waiting = Dictionary(status.queues.map { ($0.teacher, $0.waiting) }) { first, _ in first }
        let teachers = told.withLock { told in
            told.teachers.formUnion(waiting.keys)
            return told.teachers
        }
        for teacher in teachers { set(.queuedResponses, [("teacher", teacher)], to: Double(waiting[teacher] ?? 0)) }
    }

    /// Tells what the learner did with its time.
    func record(_ spans: MemberSpans) {
        for span in spans.spans {
            let labels = [("member", spans.member), ("role", "learner"), ("stage", span.stage.name)]
            FloatingPointCounter(label: RunMetric.stageSeconds.name, dimensions: labels, factory: factory)
                .increment(by: Double(span.duration) / 1e6)
        }
    }

    private func set(_ metric: RunMetric, _ labels: [(String, String)] = [], to value: Double) {
        Meter(label: metric.name, dimensions: labels, factory: factory).set(value)
    }

    private func count(_ metric: RunMetric, _ labels: [(String, String)] = [], to value: Double) {
        let key = metric.name + labels.map(\.1).joined()
        let more = told.withLock { told in
            let more = value - (told.counts[key] ?? 0)
            told.counts[key] = value
            return more
        }
        FloatingPointCounter(label: metric.name, dimensions: labels, factory: factory).increment(by: more)
    }
}
