import Files
import Foundation
import RunFiles
import Testing
import Wire

@Suite struct SpansWriterTests {
    private func withRun(_ body: (RunFolder) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("opd-spans-\(UUID())").path
        let run = try RunFolder.open(path, resume: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(run)
    }

    private func line(_ step: UInt64) -> SpanLine {
        SpanLine(
            step: step, member: "rollout-\"0\"", role: "rollout", alignment: ClockAlignment(offset: -5, roundTrip: 80),
            spans: [
                StageSpan(.sampling, start: 1_795_000_000_000_000 + step * 1000, duration: 400),
                StageSpan(.waitingForWork, start: 1_795_000_000_000_400 + step * 1000, duration: 600),
            ])
    }

    private func lines(_ path: String) throws -> [SpanLine] {
        var reader = try RecordReader<SpanLine>(path)
        return try reader.rest()
    }

    @Test func linesAreReadAsTheyWereWritten() throws {
        try withRun { run in
            let writer = try SpansWriter(run, resumes: false)
            for step in 0..<3 as Range<UInt64> { try writer.append(line(step)) }
            #expect(try lines(run.spans) == (0..<3).map { line($0) })
        }
    }

    /// Time does not go back with the steps of a run that goes on from a checkpoint; a torn line goes.
    @Test func aRunThatGoesOnKeepsWhatWas() throws {
        try withRun { run in
            try SpansWriter(run, resumes: false).append(line(40))
            let text = try String(contentsOfFile: run.spans, encoding: .utf8)
            try (text + text.dropLast(20)).write(toFile: run.spans, atomically: false, encoding: .utf8)
            try SpansWriter(run, resumes: true).append(line(20))
            #expect(try lines(run.spans).map(\.step) == [40, 20])
            try SpansWriter(run, resumes: false).append(line(1))
            #expect(try lines(run.spans).map(\.step) == [1])
        }
    }

    @Test func spaceIsBounded() throws {
        try withRun { run in
            let limit = 4000
            let writer = try SpansWriter(run, resumes: false, limit: limit)
            for step in 0..<100 as Range<UInt64> { try writer.append(line(step)) }
            for path in [run.spans, run.earlierSpans] { #expect(try FileTree.read(path).utf8.count <= limit) }
            let kept = try lines(run.earlierSpans).map(\.step) + lines(run.spans).map(\.step)
            #expect(kept.last == 99 && kept == Array(kept[0]...99), "the newest, without a gap")
            #expect(kept.count > 15)
        }
    }

    @Test func aLineWhoseListsDifferIsNone() throws {
        try withRun { run in
            let broken = line(1).jsonLine.replacingOccurrences(of: "[400,600]", with: "[400]")
            try (broken + "\n").write(toFile: run.spans, atomically: false, encoding: .utf8)
            #expect(throws: RecordError.self) { try lines(run.spans) }
        }
    }
}
