import Foundation
import JSON
import RunFiles
import Testing
import Watch
import Wire

@Suite struct TimelineTests {
    private static let origin: UInt64 = 1_795_000_000_000_000

    private static func line(
        _ member: String, _ role: String, _ spans: [(Stage, UInt64, UInt64)], roundTrip: UInt64 = 200
    ) -> String {
        SpanLine(
            step: 3, member: member, role: role, alignment: ClockAlignment(offset: 0, roundTrip: roundTrip),
            spans: spans.map { StageSpan($0.0, start: origin + $0.1, duration: $0.2) }
        ).jsonLine + "\n"
    }

    private static let run =
        line("rollout-10", "rollout", [(.sampling, 0, 5_000_000)])
        + line("rollout-2", "rollout", [(.sampling, 1000, 2_000_000), (.waitingForWork, 2_001_000, 3_000_000)])
        + line("learner", "learner", [(.waitingForRollouts, 0, 4_000_000), (.training, 4_000_000, 1_000_000)])
        // A span that was cut where a line was written is one again.
        + line("learner", "learner", [(.training, 5_000_000, 500_000), (.publishing, 5_500_000, 100_000)])
        + line("checkpoints", "learner", [(.checkpoint, 5_400_000, 900_000)])

    private func fixture(_ spans: String, earlier: String? = nil) throws -> RunFolderFixture {
        let fixture = try RunFolderFixture()
        try fixture.write(RunFolderFixture.configuration, to: fixture.run.configuration)
        try fixture.write(spans, to: fixture.run.spans)
        if let earlier { try fixture.write(earlier, to: fixture.run.earlierSpans) }
        return fixture
    }

    @Test func aTraceIsInTheTraceEventFormat() throws {
        let fixture = try fixture(Self.run)
        let trace = try TraceDocument(of: fixture.run)
        #expect(trace.spanCount == 7 && trace.laneCount == 4 && trace.unreadable == 0 && trace.overlapping == 0)
        let document = try #require(try JSONValue.parse(trace.json).object)
        #expect(document["displayTimeUnit"]?.string == "ms")
        let events = try #require(document["traceEvents"]?.array)
        var names: [Int: String] = [:], ends: [Int: Int] = [:], seen: [String] = []
        for event in events {
            let process = try #require(event["pid"]?.int)
            #expect(event["tid"]?.int == 1)
            switch event["ph"]?.string {
            case "M":
                if event["name"]?.string == "process_name" { names[process] = event["args"]?["name"]?.string }
            case "X":
                let begin = try #require(event["ts"]?.int), length = try #require(event["dur"]?.int)
                // Events of one lane are in order and do not overlap, as the format wants of a thread.
                #expect(begin >= ends[process] ?? 0 && length > 0)
                ends[process] = begin + length
                seen.append("\(names[process] ?? "?") \(event["name"]?.string ?? "?") \(begin) \(length)")
                #expect(event["cat"]?.string?.isEmpty == false)
            default: Issue.record("\(event) has no phase that was written")
            }
        }
        #expect(
            seen == [
                "learner waiting for rollouts 0 4000000", "learner training 4000000 1500000",
                "learner publishing weights 5500000 100000", "checkpoints checkpoint 5400000 900000",
                "rollout-2 sampling 1000 2000000", "rollout-2 waiting for work 2001000 3000000",
                "rollout-10 sampling 0 5000000",
            ])
    }

    @Test func theEarlierFileComesFirst() throws {
        let earlier = Self.line("learner", "learner", [(.other, 0, 1_000_000)])
        let now = Self.line("learner", "learner", [(.training, 2_000_000, 1_000_000)])
        let fixture = try fixture(now, earlier: earlier)
        let trace = try TraceDocument(of: fixture.run)
        #expect(trace.spanCount == 2 && trace.overlapping == 0)
    }

    @Test func aFolderOfAStrangerGivesNoMoreThanText() throws {
        var text = Self.line("<script>&\"", "learner", [(.training, 0, 10)])
        // A clock that jumps back: what overlaps is left out, what goes on behind it is cut.
        text += Self.line("a", "rollout", [(.sampling, 5000, 5000), (.sampling, 2000, 1000), (.weights, 8000, 4000)])
        text += "{\"step\": 1}\nnothing\n" + String(repeating: "x", count: 1 << 19) + "\n"
        for index in 0..<400 { text += Self.line("m\(index)", "rollout", [(.sampling, 0, 10)]) }
        let fixture = try fixture(text)
        let trace = try TraceDocument(of: fixture.run)
        #expect(trace.unreadable == 3 && trace.laneCount == 256 && trace.overlapping == 1 + 146)
        let document = try fixture.document()
        let lanes = try #require(document["spans"]?["lanes"]?.array)
        #expect(lanes.count == 64)
        let notes = document["notes"]?.array?.compactMap(\.string) ?? []
        #expect(notes.contains("spans.jsonl: 3 of its lines are no spans and are left out"))
        #expect(!ReportPage.embedded(fixture.digest().document).contains("<script>&"))
    }

    @Test func aPageGetsTheLastMinutesAndTheSharesOfAll() throws {
        var text = ""
        for second in 0..<600 as Range<UInt64> {
            text += Self.line(
                "learner", "learner",
                [(.training, second * 1_000_000, 250_000), (.waitingForScores, second * 1_000_000 + 250_000, 750_000)])
        }
        let document = try fixture(text).document()
        let spans = try #require(document["spans"])
        #expect(spans["seconds"]?.double == 120 && spans["whole"]?.double == 600)
        let lane = try #require(spans["lanes"]?.array?.first)
        #expect(lane["spans"]?.array?.count == 240)
        let totals = lane["totals"]?.array?.map { $0.array?.compactMap(\.double) ?? [] }
        #expect(totals == [[16, 150], [18, 450]])
        #expect(lane["round_trip_s"]?.double == 0.0002)
        #expect(spans["stages"]?["18"]?.string == "waiting for scores")
    }

    /// Of a lane that does much the oldest spans go; nothing is shown of a time in which it would look idle.
    @Test func noLaneLooksIdleWhereItsSpansWereLeftOut() throws {
        var text = Self.line("rollout-0", "rollout", [(.sampling, 0, 60_000_000)])
        for index in 0..<3000 as Range<UInt64> {
            text += Self.line(
                "learner", "learner", [(index % 2 == 0 ? .training : .waitingForScores, index * 20_000, 20_000)])
        }
        let spans = try #require(try fixture(text).document()["spans"])
        let lanes = try #require(spans["lanes"]?.array)
        for lane in lanes { #expect(lane["spans"]?.array?.first?.array?[1].double == 0) }
        let seconds = try #require(spans["seconds"]?.double)
        #expect(seconds >= 20 && seconds < 26 && spans["whole"]?.double == 60)
    }

    @Test func aRunWithoutSpansHasNone() throws {
        let fixture = try RunFolderFixture()
        #expect(try fixture.document()["spans"]?.isNull == true)
        #expect(throws: (any Error).self) { try TraceDocument(of: fixture.run) }
    }
}
