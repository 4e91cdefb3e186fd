import Files
import JSON
import RunFiles
import Wire

/// A run's timeline in the Trace Event Format, which Perfetto and `chrome://tracing` open: a process a lane, with a
/// complete event ("ph": "X") a span, times in microseconds.
package struct TraceDocument {
    private var lanes = StageLanes(mostSpans: .max)
    /// Lines of the files that are none, and spans that overlap others of their lane: left out.
    package private(set) var unreadable = 0
    package var overlapping: Int { lanes.leftOut }
    package var laneCount: Int { lanes.lanes.count }
    package var spanCount: Int { lanes.lanes.reduce(0) { $0 + $1.spans.count } }

    /// Most bytes that are read of each file: four times what `opd` writes.
    private static let readLimit = 64 << 20

    /// Reads `spans-earlier.jsonl`, where it is, and `spans.jsonl`.
    package init(of run: RunFolder) throws(FileError) {
        let scanner = LineScanner(limit: StageLanes.lineLimit, budget: Self.readLimit)
        let isOlder = FileTree.kind(run.earlierSpans) != .missing
        for path in isOlder ? [run.earlierSpans, run.spans] : [run.spans] {
            let report = try scanner.scan(path) { bytes, _ in
                if bytes.isEmpty { return }
                if let line = StageLanes.line(bytes) { lanes.add(line) } else { unreadable += 1 }
            }
            unreadable += report.tooLong
        }
    }

    package var json: String {
        let ordered = lanes.inOrder
        let origin = ordered.compactMap(\.begin).min() ?? 0
        var events: [String] = []
        for (index, lane) in ordered.enumerated() {
            let process = String(index + 1)
            func name(_ kind: String, _ value: String) {
                events.append(
                    JSONText.object([
                        ("name", JSONText.string(kind)), ("ph", "\"M\""), ("pid", process), ("tid", "1"),
                        ("args", JSONText.object([("name", JSONText.string(value))])),
                    ]))
            }
            name("process_name", lane.name)
            name("thread_name", lane.role)
            events.append(
                JSONText.object([
                    ("name", "\"process_sort_index\""), ("ph", "\"M\""), ("pid", process), ("tid", "1"),
                    ("args", JSONText.object([("sort_index", process)])),
                ]))
            for span in lane.spans {
                events.append(
                    JSONText.object([
                        ("name", JSONText.string(span.stage.name)), ("cat", JSONText.string(lane.role)),
                        ("ph", "\"X\""), ("ts", String(span.start - origin)), ("dur", String(span.duration)),
                        ("pid", process), ("tid", "1"),
                    ]))
            }
        }
        return JSONText.object([
            ("displayTimeUnit", "\"ms\""),
            ("otherData", JSONText.object([("begin_unix_us", JSONText.string(String(origin)))])),
            ("traceEvents", "[\n" + events.joined(separator: ",\n") + "\n]"),
        ]) + "\n"
    }
}
