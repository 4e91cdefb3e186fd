import Exchange
import Foundation
import Wire

/// The learner's own lanes in the run's timeline: what it does or waits for, and beside that the checkpoints that are
/// written meanwhile.
struct LearnerLane {
    /// Microseconds of Unix time at the learner's moment zero: spans of a run that goes on come after its earlier ones.
    private let origin: UInt64
    private var stages = StageRecorder()
    private var flushedAt: Duration = .zero

    /// Between two writes, as far apart as heartbeats are by default.
    private static let pace: Duration = .seconds(2)

    init() { origin = UInt64(max(0, Date().timeIntervalSince1970) * 1e6) }

    mutating func enter(_ stage: Stage, now: Duration) { stages.enter(stage, now: now) }

    /// Hands on what a member has told.
    func record(_ spans: MemberSpans, to recorder: any RunRecorder, step: UInt64) {
        recorder.record(spans: spans, since: origin, step: step)
    }

    /// Hands on what was recorded, where some seconds have passed.
    /// - Parameters:
    ///   - checkpoints: begin and end of checkpoints that were written, asked for only then.
    ///   - isLast: whether to do so in any case.
    /// - Returns: whether it was time to.
    @discardableResult
    mutating func flush(
        now: Duration, to recorder: any RunRecorder, step: UInt64, isLast: Bool = false,
        checkpoints: () -> [Range<Duration>]
    ) -> Bool {
        guard isLast || now - flushedAt >= Self.pace else { return false }
        flushedAt = now
        let clock = ClockAlignment(offset: 0, roundTrip: 0)
        func hand(_ name: String, _ spans: [StageSpan]) {
            guard !spans.isEmpty else { return }
            record(MemberSpans(member: name, role: nil, alignment: clock, spans: spans), to: recorder, step: step)
        }
        hand("learner", stages.take(now: now))
        hand(
            "checkpoints",
            checkpoints().map {
                let start = $0.lowerBound.microseconds
                return StageSpan(.checkpoint, start: start, duration: $0.upperBound.microseconds - start)
            })
        return true
    }
}

extension StepClock.Phase {
    /// Its name in the timeline.
    var stage: Stage {
        switch self {
        case .rollouts: .waitingForRollouts
        case .scores: .waitingForScores
        case .evaluation: .evaluation
        case .training: .training
        case .other: .other
        }
    }
}
