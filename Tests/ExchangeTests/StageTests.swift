import Exchange
import TestSupport
import Testing
import Wire

/// The lanes of a timeline, and the clocks behind them.
@Suite struct StageTests {
    private func milliseconds(_ count: Int) -> Duration { .milliseconds(count) }

    @Test func spansFollowOneAnotherAndAreCutWhereTheyAreTaken() {
        var recorder = StageRecorder()
        recorder.enter(.waitingForWork, now: milliseconds(5))
        recorder.enter(.sampling, now: milliseconds(15))
        recorder.enter(.sampling, now: milliseconds(20))
        #expect(
            recorder.take(now: milliseconds(40)) == [
                StageSpan(.waitingForWork, start: 5000, duration: 10_000),
                StageSpan(.sampling, start: 15_000, duration: 25_000),
            ])
        recorder.leave(now: milliseconds(50))
        recorder.enter(.weights, now: milliseconds(70))
        #expect(
            recorder.take(now: milliseconds(71)) == [
                StageSpan(.sampling, start: 40_000, duration: 10_000),
                StageSpan(.weights, start: 70_000, duration: 1000),
            ], "nothing is known of the time between")
    }

    @Test func shortSpansBelongToTheOneBefore() {
        var recorder = StageRecorder()
        recorder.enter(.sampling, now: .zero)
        recorder.enter(.waitingForWork, now: .microseconds(5000))
        recorder.enter(.sampling, now: .microseconds(5400))
        #expect(recorder.take(now: .microseconds(9000)) == [StageSpan(.sampling, start: 0, duration: 9000)])
    }

    @Test func aFullRingForgetsTheOldest() {
        var recorder = StageRecorder()
        let count = StageSpan.most + 100
        for index in 0..<count {
            recorder.enter(index % 2 == 0 ? .sampling : .waitingForWork, now: milliseconds(10 * index))
        }
        let spans = recorder.take(now: milliseconds(10 * count))
        #expect(spans.count == StageSpan.most && spans.first?.start == 1_000_000)
        #expect(zip(spans, spans.dropFirst()).allSatisfy { $0.end == $1.start })
        #expect(spans.last?.end == UInt64(count) * 10_000)
        #expect(recorder.take(now: milliseconds(10 * count)).isEmpty)
    }

    /// The shortest round trip counts, and is right to within half of it however the way there and back differ.
    @Test func clocksAreAlignedByTheShortestRoundTrip() throws {
        var estimate = ClockEstimate()
        #expect(estimate.alignment == nil)
        let offset: Int64 = -7_000_000
        for (sent, there, back) in [(10_000_000, 9000, 100), (12_000_000, 300, 500), (14_000_000, 40_000, 2)] {
            let remote = UInt64(Int64(sent + there) + offset)
            estimate.observe(sent: UInt64(sent), received: UInt64(sent + there + back), remote: remote)
        }
        let alignment = try #require(estimate.alignment)
        #expect(alignment.roundTrip == 800 && abs(alignment.offset - offset) <= 400)
        estimate.observe(sent: 20_000_000, received: 19_000_000, remote: 1)
        estimate.observe(sent: 0, received: 5, remote: 9)
        #expect(estimate.alignment == alignment, "what cannot be is not believed")
    }

    /// A member's session and the exchange, a clock 100 s ahead and a network of 4 ms between them.
    @Test func aMembersSpansComeByTheLearnersClock() throws {
        let ahead: Duration = .seconds(100), way: Duration = .milliseconds(4)
        var exchange = ExchangeTests().exchange()
        let hello = Hello(role: .rollout, name: "w", tokenizerFingerprint: "t", processID: 1)
        var session = MemberSession<RolloutTask>(hello: hello, window: 1, patience: .seconds(60), now: ahead)
        let peer = PeerID("w")
        var spans: [MemberSpans] = []
        /// Carries what the session says to the exchange, and its answers back.
        func carry(_ actions: [MemberSession<RolloutTask>.Action], at now: Duration) {
            for case .send(let message) in actions {
                for action in exchange.receive(message, from: peer, now: now + way) {
                    if case .spans(let told) = action { spans.append(told) }
                    guard case .send(let reply, _) = action else { continue }
                    carry(session.receive(reply, now: now + ahead + way + way), at: now + way + way)
                }
            }
        }
        session.enter(.waitingForWork, now: ahead + .milliseconds(10))
        carry(session.tick(now: ahead + .milliseconds(20), status: MemberStatus(state: "")), at: .milliseconds(20))
        carry(session.tick(now: ahead + .milliseconds(100), status: MemberStatus(state: "")), at: .milliseconds(100))
        #expect(spans.isEmpty, "nobody knows yet when it was")
        session.enter(.sampling, now: ahead + .seconds(1))
        carry(session.tick(now: ahead + .seconds(3), status: MemberStatus(state: "")), at: .seconds(3))
        let told = try #require(spans.first)
        #expect(told.member == "w" && told.role == .rollout && told.alignment.roundTrip == 8000)
        #expect(
            told.spans == [
                StageSpan(.waitingForWork, start: 10_000, duration: 990_000),
                StageSpan(.sampling, start: 1_000_000, duration: 2_000_000),
            ])
    }

    @Test func timesThatCannotBeAreLeftOut() throws {
        var exchange = ExchangeTests().exchange()
        _ = ExchangeTests().join(&exchange, ExchangeTests.worker, .rollout, window: 1)
        var heartbeat = Heartbeat(status: MemberStatus(state: ""), epoch: 9)
        heartbeat.alignment = ClockAlignment(offset: -1_000_000, roundTrip: 10)
        heartbeat.spans = [
            StageSpan(.sampling, start: 500_000, duration: 600_000),
            StageSpan(.sampling, start: 2_000_000, duration: 1_000_000),
            StageSpan(.sampling, start: StageSpan.latest, duration: StageSpan.latest),
        ]
        let actions = exchange.receive(.heartbeat(heartbeat), from: ExchangeTests.worker, now: .seconds(3))
        let told = actions.compactMap { if case .spans(let spans) = $0 { spans } else { nil } }
        #expect(
            told.first?.spans == [
                StageSpan(.sampling, start: 0, duration: 100_000),
                StageSpan(.sampling, start: 1_000_000, duration: 1_000_000),
            ])
        heartbeat.alignment = nil
        let without = exchange.receive(.heartbeat(heartbeat), from: ExchangeTests.worker, now: .seconds(3))
        #expect(!without.contains { if case .spans = $0 { true } else { false } })
    }
}
