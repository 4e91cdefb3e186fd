import Files
import JSON
import RunFiles
import Wire

/// What a page shows of a run's timeline: the last minutes of every lane, and the shares of the whole of it.
struct StageDigest: Sendable {
    private var lanes = StageLanes(mostSpans: StageDigest.mostSpans)
    private var follower = LineFollower(LineScanner(limit: StageLanes.lineLimit, budget: 64 << 20))
    private var unreadable = 0
    private var failure: String?
    /// Changes with what is shown.
    private(set) var revision = 0

    /// Most spans of a lane, and seconds of the timeline, that are shown; and most lanes.
    private static let mostSpans = 1000, window = 120.0, mostLanes = 64

    var notes: [String] {
        var notes = [failure].compactMap(\.self)
        if unreadable > 0 { notes.append("spans.jsonl: \(unreadable) of its lines are no spans and are left out") }
        if lanes.lanes.count > Self.mostLanes {
            notes.append("the timeline has \(lanes.lanes.count) lanes, of which \(Self.mostLanes) are shown")
        }
        return notes
    }

    /// Reads what has come since the last look.
    /// - Returns: whether anything has changed.
    mutating func follow(_ run: RunFolder) -> Bool {
        var follower = follower
        defer { self.follower = follower }
        // A run of an older version has none, which the page says where it would stand.
        guard FileTree.kind(run.spans) != .missing else {
            follower.forget()
            let had = !lanes.lanes.isEmpty
            if had { self = StageDigest(revision: revision + 1) }
            return had
        }
        let failed = failure
        do {
            let report = try follower.follow(run.spans) {
                self = StageDigest(revision: revision)
            } line: { bytes, _ in
                if bytes.isEmpty { return }
                if let line = StageLanes.line(bytes) { lanes.add(line) } else { unreadable += 1 }
            }
            guard let report else { return false }
            unreadable += report.tooLong
            failure = nil
            revision += 1
            return true
        } catch {
            follower.forget()
            self = StageDigest(revision: revision + 1)
            failure = "spans.jsonl cannot be read: there is no timeline"
            return failure != failed
        }
    }

    init() {}

    private init(revision: Int) { self.revision = revision }

    /// The timeline as JSON; nil where there is none: lanes with spans as [stage, begin, seconds], begins in seconds
    /// after `from`, which is Unix time.
    var json: String? {
        let shown = lanes.inOrder.prefix(Self.mostLanes)
        guard let end = shown.map(\.end).max(), let begin = shown.compactMap(\.begin).min() else { return nil }
        // Where the oldest spans of a lane have gone, what is before them would look as if it had done nothing.
        let kept = shown.filter(\.isCut).compactMap(\.spans.first?.start).max() ?? 0
        let from = max(begin, end - min(end, UInt64(Self.window * 1e6)), min(kept, end))
        func seconds(_ microseconds: UInt64) -> String {
            // To a tenth of a millisecond.
            JSONText.number(Double(microseconds / 100) / 1e4)
        }
        let list = shown.map { lane -> String in
            let spans = lane.spans.filter { $0.end > from }.map { span -> String in
                let start = max(span.start, from)
                return "[\(span.stage.rawValue),\(seconds(start - from)),\(seconds(span.end - start))]"
            }
            let totals = lane.totals.sorted { $0.key.rawValue < $1.key.rawValue }
                .map { "[\($0.key.rawValue),\(seconds($0.value))]" }
            return JSONText.object([
                ("name", JSONText.string(lane.name)), ("role", JSONText.string(lane.role)),
                ("round_trip_s", JSONText.number(Double(lane.roundTrip) / 1e6)),
                ("totals", "[" + totals.joined(separator: ",") + "]"),
                ("spans", "[" + spans.joined(separator: ",") + "]"),
            ])
        }
        let names = Stage.allCases.map { (String($0.rawValue), JSONText.string($0.name)) }
        return JSONText.object([
            ("from", seconds(from)), ("seconds", seconds(end - from)), ("whole", seconds(end - begin)),
            ("stages", JSONText.object(names)), ("lanes", "[" + list.joined(separator: ",") + "]"),
        ])
    }
}
