/// What a process of a run does or waits for: the stages of its lane in a timeline.
package enum Stage: UInt8, Sendable, CaseIterable {
    // What members do; the numbers are those of the protocol.
    case sampling = 1
    case scoring = 2
    case waitingForWork = 3
    case waitingForWeights = 4
    /// New weights are taken into use.
    case weights = 5
    // What the learner does; these do not travel.
    case training = 16
    case waitingForRollouts = 17
    case waitingForScores = 18
    case evaluation = 19
    case checkpoint = 20
    /// A version of the weights is written and announced.
    case publishing = 21
    /// Whatever is between these: judging, bookkeeping, reading a checkpoint.
    case other = 22

    /// The name in `spans.jsonl`, in traces and on the page.
    package var name: String {
        switch self {
        case .sampling: "sampling"
        case .scoring: "scoring"
        case .waitingForWork: "waiting for work"
        case .waitingForWeights: "waiting for weights"
        case .weights: "taking weights"
        case .training: "training"
        case .waitingForRollouts: "waiting for rollouts"
        case .waitingForScores: "waiting for scores"
        case .evaluation: "evaluation"
        case .checkpoint: "checkpoint"
        case .publishing: "publishing weights"
        case .other: "other"
        }
    }

    package init?(name: String) {
        guard let stage = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = stage
    }

    /// Whether a member may tell of it.
    package var isMembers: Bool { rawValue < Self.training.rawValue }
}

/// A stretch of time that a process spent in one stage, in microseconds by a clock that its context names.
package struct StageSpan: Sendable, Equatable {
    package var stage: Stage
    package var start: UInt64
    package var duration: UInt64

    package var end: UInt64 { start + duration }

    /// Most spans of one heartbeat.
    package static let most = 512
    /// The largest start and duration, some 285 years: sums of them have room in 64 bits.
    package static let latest: UInt64 = 1 << 53

    package init(_ stage: Stage, start: UInt64, duration: UInt64) {
        self.stage = stage
        self.start = start
        self.duration = duration
    }
}

/// A member's clock beside the learner's, as the member has estimated it from the round trip of a heartbeat.
package struct ClockAlignment: Sendable, Equatable {
    /// Microseconds that, added to the member's clock, give the learner's.
    package var offset: Int64
    /// Microseconds of the round trip; the offset is wrong by at most half of it.
    package var roundTrip: UInt64

    /// The largest offset, either way.
    package static let largest = Int64(StageSpan.latest)

    package init(offset: Int64, roundTrip: UInt64) {
        self.offset = offset
        self.roundTrip = roundTrip
    }
}
