import Distillation
import TestSupport
import Testing
import Wire

/// Spans and clocks in heartbeats.
@Suite struct SpanTests {
    private var heartbeat: Heartbeat {
        var heartbeat = Heartbeat(status: MemberStatus(state: "sampling"), epoch: 9)
        heartbeat.sentAt = 12_345_678
        heartbeat.alignment = ClockAlignment(offset: -7, roundTrip: 450)
        heartbeat.spans = [
            StageSpan(.sampling, start: 1, duration: 1_000_000),
            StageSpan(.waitingForWeights, start: 1_000_001, duration: StageSpan.latest),
        ]
        return heartbeat
    }

    @Test func theyAreReadAsTheyWereWritten() throws {
        #expect(try Codec.decode(Codec.encode(.heartbeat(heartbeat))) == .heartbeat(heartbeat))
        var reply = HeartbeatReply(epoch: 9, version: 3)
        (reply.sentAt, reply.clock) = (5, 6)
        #expect(try Codec.decode(Codec.encode(.heartbeatReply(reply))) == .heartbeatReply(reply))
    }

    /// What does not tell of them costs no byte.
    @Test func membersWithoutClocksSayWhatTheySaidBefore() throws {
        let plain = Heartbeat(status: MemberStatus(state: "s", version: 3), leaseIDs: [1], epoch: 9)
        #expect(
            try Codec.encode(.heartbeat(plain))[1].array
                == [0x9a, 0x01, 0x11, 0x0a, 0x01, 0x73, 0x12, 0x01, 0x01, 0x28, 0x03, 0x31, 9, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func whatCannotBeIsRefused() throws {
        func code(_ change: (inout Heartbeat) -> Void) -> WireError.Code? {
            var heartbeat = heartbeat
            change(&heartbeat)
            do {
                _ = try Codec.encode(.heartbeat(heartbeat))
                return nil
            } catch { return error.code }
        }
        let span = StageSpan(.sampling, start: 1, duration: 1)
        #expect(code { $0.spans = Array(repeating: span, count: StageSpan.most) } == nil)
        #expect(code { $0.spans = Array(repeating: span, count: StageSpan.most + 1) } == .oversized)
        #expect(code { $0.spans = [StageSpan(.sampling, start: StageSpan.latest + 1, duration: 1)] } == .invalidValue)
        #expect(code { $0.spans = [StageSpan(.training, start: 1, duration: 1)] } == .invalidValue)
        #expect(code { $0.alignment = ClockAlignment(offset: .min, roundTrip: 1) } == .invalidValue)
        #expect(code { $0.alignment = ClockAlignment(offset: 0, roundTrip: .max) } == .invalidValue)
    }

    /// Field 10 is the stages, packed; here there are two, and no begins.
    @Test func listsOfAnotherLengthAreRefused() {
        let body: [UInt8] = [0x31, 9, 0, 0, 0, 0, 0, 0, 0, 0x52, 0x02, 0x01, 0x02]
        let frames = [Frame([0x4f, 0x50, 0x44, 2]), Frame([0x9a, 0x01, UInt8(body.count)] + body)]
        do {
            _ = try Codec.decode(frames)
            Issue.record("two stages without begins were taken")
        } catch {
            #expect(error.code == .invalidValue && error.description.contains("2 span_stages, 0 span_starts_us"))
        }
    }

    /// 9 is no stage of this version: the span is left out, and the rest of the heartbeat counts.
    @Test func aStageOfALaterVersionIsLeftOut() throws {
        let body: [UInt8] = [0x31, 9, 0, 0, 0, 0, 0, 0, 0, 0x52, 2, 9, 1, 0x5a, 2, 1, 2, 0x62, 2, 3, 4]
        let frames = [Frame([0x4f, 0x50, 0x44, 2]), Frame([0x9a, 0x01, UInt8(body.count)] + body)]
        guard case .heartbeat(let heartbeat) = try Codec.decode(frames) else { return }
        #expect(heartbeat.spans == [StageSpan(.sampling, start: 2, duration: 4)])
    }
}
