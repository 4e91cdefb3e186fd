import Wire
import Wording

/// Records in which stage a process is: a lane of a timeline, in a bounded ring of spans.
///
/// Entering a stage costs a comparison where it is the present one, and nothing is allocated after the beginning. A
/// span below a millisecond is taken into the one before it; when the ring is full the oldest goes, which leaves a gap
/// in the lane.
package struct StageRecorder: Sendable {
    /// Shorter spans are not worth a line.
    package static let shortest: UInt64 = 1000

    private var ring: [StageSpan] = []
    private var first = 0
    private var present: StageSpan?

    package init() { ring.reserveCapacity(StageSpan.most) }

    /// The process is in this stage from now on.
    package mutating func enter(_ stage: Stage, now: Duration) {
        if present?.stage == stage { return }
        let now = now.microseconds
        close(now)
        present = StageSpan(stage, start: now, duration: 0)
    }

    /// Nothing is known from here on, until a stage is entered.
    package mutating func leave(now: Duration) {
        close(now.microseconds)
        present = nil
    }

    /// What was recorded since the last call, oldest first. What goes on is cut here: its other part comes with the next.
    package mutating func take(now: Duration) -> [StageSpan] {
        let now = now.microseconds
        close(now)
        present?.start = now
        defer {
            ring.removeAll(keepingCapacity: true)
            first = 0
        }
        return Array(ring[first...] + ring[..<first])
    }

    private mutating func close(_ now: UInt64) {
        guard var span = present, now > span.start else { return }
        span.duration = now - span.start
        if let last = lastIndex, ring[last].end == span.start,
            ring[last].stage == span.stage || span.duration < Self.shortest
        {
            ring[last].duration += span.duration
        } else if ring.count < StageSpan.most {
            ring.append(span)
        } else {
            ring[first] = span
            first = (first + 1) % ring.count
        }
    }

    private var lastIndex: Int? { ring.isEmpty ? nil : (first + ring.count - 1) % ring.count }
}

extension Duration {
    /// Whole microseconds; 0 for what is negative.
    package var microseconds: UInt64 {
        let (seconds, attoseconds) = components
        return seconds < 0 ? 0 : UInt64(seconds) * 1_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000_000)
    }
}

/// Estimates the learner's clock from round trips: it read `remote` in the middle between a heartbeat's sending and its
/// answer, to within half of the round trip (Cristian, 1989). Of the last few the one with the shortest round trip
/// counts, so that clocks that drift are followed.
package struct ClockEstimate: Sendable {
    private var recent: [ClockAlignment] = []

    private static let memory = 16

    package init() {}

    /// Nil before the first round trip.
    package var alignment: ClockAlignment? { recent.min { $0.roundTrip < $1.roundTrip } }

    /// - Parameters: microseconds: of this clock when it was sent and when the answer came, of the other one between.
    package mutating func observe(sent: UInt64, received: UInt64, remote: UInt64) {
        let latest = StageSpan.latest
        guard sent > 0, remote > 0, sent <= received, received <= latest, remote <= latest else { return }
        let roundTrip = received - sent
        if recent.count == Self.memory { recent.removeFirst() }
        recent.append(
            ClockAlignment(
                offset: Int64(remote) - Int64(sent + roundTrip / 2), roundTrip: max(1, roundTrip)))
    }
}

/// What a member did, by the learner's clock.
package struct MemberSpans: Sendable, Equatable {
    package var member: String
    /// Nil: the learner's own process.
    package var role: Role?
    package var alignment: ClockAlignment
    /// Microseconds since the learner's process began.
    package var spans: [StageSpan]

    package init(member: String, role: Role?, alignment: ClockAlignment, spans: [StageSpan]) {
        self.member = member
        self.role = role
        self.alignment = alignment
        self.spans = spans
    }
}

extension MemberSpans {
    /// The spans of a heartbeat that has just come; nil where there are none, or their clock is not known.
    ///
    /// What did not happen in the last ten minutes, or is later than now by more than the round trip, is left out: a
    /// member's clock is believed no further.
    init?(_ heartbeat: Heartbeat, of member: Member, now: Duration) {
        guard let alignment = heartbeat.alignment, !heartbeat.spans.isEmpty else { return nil }
        let now = Int64(now.microseconds), slack = Int64(alignment.roundTrip) + 1_000_000
        let spans = heartbeat.spans.compactMap { span -> StageSpan? in
            let start = Int64(span.start) + alignment.offset, end = start + Int64(span.duration)
            guard end <= now + slack, start >= now - 600_000_000, end > 0 else { return nil }
            // It may have begun before the learner's process did.
            let begin = max(0, start)
            return StageSpan(span.stage, start: UInt64(begin), duration: UInt64(end - begin))
        }
        guard !spans.isEmpty else { return nil }
        self.init(member: member.name, role: member.role, alignment: alignment, spans: spans)
    }
}
