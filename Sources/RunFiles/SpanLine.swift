import Files
import JSON
import Locking
import Telemetry
import Wire

/// A line of `spans.jsonl`: what a process of the run did with its time.
package struct SpanLine: RunRecord, Equatable {
    /// Completed steps when it was written.
    package var step: UInt64
    /// The process, such as `rollout-1`; `learner`, and `checkpoints` for what the learner writes meanwhile.
    package var member: String
    /// `learner`, `rollout` or `scorer`.
    package var role: String
    /// How the member's clock went beside the learner's; 0, 0 for the learner's own.
    package var alignment: ClockAlignment
    /// In microseconds of Unix time by the learner's clock.
    package var spans: [StageSpan]

    package init(step: UInt64, member: String, role: String, alignment: ClockAlignment, spans: [StageSpan]) {
        self.step = step
        self.member = member
        self.role = role
        self.alignment = alignment
        self.spans = spans
    }

    package init(fields: JSONFields) throws(JSONFieldError) {
        step = try fields.integer("step")
        member = try fields.string("member")
        role = try fields.string("role")
        alignment = ClockAlignment(
            offset: try fields.integer("offset_us"), roundTrip: try fields.integer("round_trip_us"))
        let stages = try fields.array("stages", of: "strings") { $0.string }
        let starts: [UInt64] = try fields.integers("starts_us")
        let durations: [UInt64] = try fields.integers("durations_us")
        guard starts.count == stages.count, durations.count == stages.count,
            (starts + durations).allSatisfy({ $0 <= StageSpan.latest })
        else {
            throw JSONFieldError(description: "'stages', 'starts_us' and 'durations_us' do not belong together")
        }
        // What a later version names otherwise is left out.
        spans = stages.indices.compactMap { index in
            Stage(name: stages[index]).map { StageSpan($0, start: starts[index], duration: durations[index]) }
        }
    }

    package var jsonLine: String {
        JSONText.object([
            ("step", String(step)), ("member", JSONText.string(member)), ("role", JSONText.string(role)),
            ("offset_us", String(alignment.offset)), ("round_trip_us", String(alignment.roundTrip)),
            ("stages", "[" + spans.map { JSONText.string($0.stage.name) }.joined(separator: ", ") + "]"),
            ("starts_us", JSONText.array(spans.map(\.start))), ("durations_us", JSONText.array(spans.map(\.duration))),
        ])
    }
}

/// Writes `spans.jsonl` in bounded space: a full file becomes `spans-earlier.jsonl`, in place of the one before.
package final class SpansWriter: Sendable {
    private struct State: Sendable {
        var file: JSONLinesFile
        var written: Int
    }

    /// Most bytes of each of the two files.
    package static let limit = 16 << 20

    private let run: RunFolder
    private let limit: Int
    private let state: Locked<State>

    /// - Parameters:
    ///   - resumes: whether what is there is kept, whatever its steps: time does not go back with them.
    ///   - limit: most bytes of each file.
    ///   - staging: see ``JSONLinesFile/init(path:resumingAfter:staging:)``.
    package init(
        _ run: RunFolder, resumes: Bool, limit: Int = SpansWriter.limit, staging: String? = nil
    ) throws(TelemetryError) {
        self.run = run
        self.limit = limit
        if !resumes { try? FileTree.remove(run.earlierSpans) }
        let file = try JSONLinesFile(path: run.spans, resumingAfter: resumes ? .max : nil, staging: staging)
        state = Locked(State(file: file, written: file.keptByteCount))
    }

    /// Appends a line; throws when the disk is full, which a run survives.
    package func append(_ line: SpanLine) throws {
        let text = line.jsonLine
        try state.withLock { state in
            if state.written > 0, state.written + text.utf8.count >= limit {
                try FileTree.rename(run.spans, to: run.earlierSpans)
                state = State(file: try JSONLinesFile(path: run.spans, resumingAfter: nil), written: 0)
            }
            try state.file.append(text)
            state.written += text.utf8.count + 1
        }
    }
}
