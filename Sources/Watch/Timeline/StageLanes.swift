import Files
import JSON
import RunFiles
import Wire

/// The lanes of a run's timeline: what each of its processes did, in the order in which it did it.
///
/// Lines come from a folder that nobody vouches for: there are at most so many lanes of so many spans, and what
/// overlaps the span before it in its lane is left out.
struct StageLanes: Sendable {
    struct Lane: Sendable {
        let name: String
        let role: String
        /// Of the newest line: half of it is how wrong the lane's times may be, in microseconds.
        var roundTrip: UInt64 = 0
        var spans: [StageSpan] = []
        /// Whether older spans were pushed out.
        var isCut = false
        /// Microseconds in each stage, of all spans that were ever added.
        var totals: [Stage: UInt64] = [:]
        /// Begin of the first and end of the last span that was ever added.
        var begin: UInt64?
        var end: UInt64 = 0
    }

    static let most = 256
    private(set) var lanes: [Lane] = []
    private(set) var leftOut = 0
    private var places: [String: Int] = [:]
    /// Most spans that are kept of a lane; more push out the oldest.
    private let mostSpans: Int

    /// Pauses up to this, in microseconds, do not part spans of one stage: a span is cut wherever a line was written.
    private static let pause: UInt64 = 1000

    init(mostSpans: Int) { self.mostSpans = mostSpans }

    /// Adds a line of `spans.jsonl`.
    mutating func add(_ line: SpanLine) {
        let name = RunText.cut(line.member, to: 80)
        guard let place = places[name] ?? newLane(name, line.role) else {
            leftOut += line.spans.count
            return
        }
        lanes[place].roundTrip = line.alignment.roundTrip
        for span in line.spans { add(span, to: place) }
        let excess = lanes[place].spans.count - mostSpans
        // Removing a few at a time would move all of the others each time.
        guard excess > mostSpans / 4 else { return }
        lanes[place].spans.removeFirst(excess)
        lanes[place].isCut = true
    }

    private mutating func newLane(_ name: String, _ role: String) -> Int? {
        guard lanes.count < Self.most else { return nil }
        lanes.append(Lane(name: name, role: RunText.cut(role, to: 20)))
        places[name] = lanes.count - 1
        return lanes.count - 1
    }

    private mutating func add(_ span: StageSpan, to place: Int) {
        var span = span
        // Estimates of a clock differ a little from heartbeat to heartbeat.
        if span.start < lanes[place].end, span.end > lanes[place].end {
            let cut = lanes[place].end - span.start
            span.start += cut
            span.duration -= cut
        }
        guard span.start >= lanes[place].end, span.duration > 0 else {
            leftOut += 1
            return
        }
        if let last = lanes[place].spans.indices.last, lanes[place].spans[last].stage == span.stage,
            span.start - lanes[place].spans[last].end <= Self.pause
        {
            lanes[place].spans[last].duration = span.end - lanes[place].spans[last].start
        } else {
            lanes[place].spans.append(span)
        }
        lanes[place].totals[span.stage, default: 0] += span.duration
        if lanes[place].begin == nil { lanes[place].begin = span.start }
        lanes[place].end = span.end
    }

    /// The learner first, then the others by role and name, numbers in names by their size.
    var inOrder: [Lane] {
        func rank(_ lane: Lane) -> Int { ["learner", "rollout", "scorer"].firstIndex(of: lane.role) ?? 3 }
        func key(_ lane: Lane) -> (Int, Int, Int, String) {
            (rank(lane), lane.name == "learner" ? 0 : 1, lane.name.utf8.count, lane.name)
        }
        return lanes.sorted { key($0) < key($1) }
    }
}

extension StageLanes {
    /// A line of a file; nil for what is none.
    static func line(_ bytes: UnsafeRawBufferPointer) -> SpanLine? {
        guard let value = try? JSONValue.parse(Array(bytes), limit: valueLimit), let fields = try? JSONFields(value)
        else { return nil }
        return try? SpanLine(fields: fields)
    }

    /// Values, and bytes, of a line; those that `opd` writes have a third of them.
    private static let valueLimit = 8192
    static let lineLimit = 1 << 18
}
