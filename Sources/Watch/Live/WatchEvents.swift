import JSON
import RunFiles

/// What one page has been told of one run, and what it is to be told next.
struct WatchEvents {
    private let index: Int
    private var digestRevision = -1
    private var answerRevision = -1
    private var generation = -1
    private var points = 0
    private var evaluations = -1
    private var configurationRevision = -1
    private var stageRevision = -1

    init(run index: Int) { self.index = index }

    /// Events in the form of a stream (WHATWG HTML, 9.2); empty where the page knows everything.
    mutating func next(_ run: WatchedRun) -> String {
        var events = ""
        if let digest = run.digest, run.digestRevision != digestRevision {
            digestRevision = run.digestRevision
            events += Self.event("run", runFields(digest, isHeld: run.isHeld))
        }
        if run.answerRevision != answerRevision {
            answerRevision = run.answerRevision
            if let answer = run.answer { events += Self.event("status", statusFields(answer)) }
        }
        return events
    }

    private mutating func runFields(_ digest: RunDigest, isHeld: Bool) -> [(name: String, json: String)] {
        let metrics = digest.metrics
        // The last point may have got more steps since.
        let from = metrics.generation == generation ? max(0, points - 1) : 0
        let isAnew = metrics.generation != generation
        var fields: [(name: String, json: String)] = [
            ("run", String(index)), ("from", String(from)), ("held", isHeld ? "true" : "false"),
            ("head", JSONText.object(digest.headFields)),
            ("curves", JSONText.object(digest.curveFields(from: from))),
        ]
        if isAnew || metrics.evaluations.total != evaluations { fields += digest.evaluationFields }
        if configurationRevision != digest.configuration.revision { fields += digest.configurationFields }
        if digest.stages.revision != stageRevision { fields += digest.stageFields }
        stageRevision = digest.stages.revision
        (generation, points) = (metrics.generation, metrics.series.lines.count)
        (evaluations, configurationRevision) = (metrics.evaluations.total, digest.configuration.revision)
        return fields
    }

    private func statusFields(_ answer: StatusAnswer) -> [(name: String, json: String)] {
        switch answer {
        case .status(let status): [("run", String(index)), ("status", status.json)]
        case .silence(let reason):
            [("run", String(index)), ("silence", JSONText.string(RunText.cut(reason, to: 400)))]
        }
    }

    static func event(_ name: String, _ fields: [(name: String, json: String)]) -> String {
        // JSON of ours has no line feed: those of texts are escaped.
        "event: \(name)\ndata: \(JSONText.object(fields))\n\n"
    }
}
