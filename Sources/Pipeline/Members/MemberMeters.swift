import CoreMetrics
import Exchange
import Exposition
import Wire
import Wording

/// What a worker or a scorer tells of itself by swift-metrics, under the names by which a watcher tells it of members.
struct MemberMeters: Sendable {
    private let tasks, pace, version: Meter
    private let tokens: Counter
    private let stages: [Stage: FloatingPointCounter]
    private var told: UInt64 = 0
    private var stage: (stage: Stage, since: Duration)?

    init(_ factory: any MetricsFactory) {
        tasks = Meter(label: RunMetric.memberTasks.name, factory: factory)
        pace = Meter(label: RunMetric.memberPace.name, factory: factory)
        version = Meter(label: RunMetric.memberVersion.name, factory: factory)
        tokens = Counter(label: RunMetric.memberTokens.name, factory: factory)
        let members = Stage.allCases.filter(\.isMembers).map { stage in
            let labels = [("stage", stage.name)]
            return (
                stage, FloatingPointCounter(label: RunMetric.stageSeconds.name, dimensions: labels, factory: factory)
            )
        }
        stages = Dictionary(uniqueKeysWithValues: members)
        tokens.increment(by: 0)
        for counter in stages.values { counter.increment(by: 0.0) }
    }

    /// The member is in this stage from now on.
    mutating func enter(_ stage: Stage, now: Duration) {
        count(until: now)
        self.stage = (stage, now)
    }

    mutating func tell(_ status: MemberStatus, tasks count: Int, now: Duration) {
        self.count(until: now)
        tasks.set(count)
        pace.set(status.tokensPerSecond)
        if status.version != MemberStatus.noVersion { version.set(Double(status.version)) }
        tokens.increment(by: Int64(clamping: status.tokens &- told))
        told = status.tokens
    }

    private mutating func count(until now: Duration) {
        guard let (stage, since) = stage else { return }
        stages[stage]?.increment(by: (now - since).seconds)
        self.stage = (stage, now)
    }
}
