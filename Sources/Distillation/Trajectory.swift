import Tokens

/// What names one rollout in a run: the group (one prompt drawn at one place of the prompt order) and the sample in it.
///
/// Ordered by group, then by sample: the learner sorts a batch by it before packing, so that a step's arithmetic
/// does not depend on who delivered what when.
package struct RolloutID: Hashable, Comparable, Sendable, Codable {
    /// Counts prompts drawn since the start of the run.
    package var group: UInt64
    /// 0 ..< samples per prompt.
    package var sample: UInt32

    package init(group: UInt64, sample: UInt32) {
        self.group = group
        self.sample = sample
    }

    package static func < (left: RolloutID, right: RolloutID) -> Bool {
        (left.group, left.sample) < (right.group, right.sample)
    }
}

extension RolloutID: CustomStringConvertible {
    /// `group.sample`, as logs show it.
    package var description: String { "\(group).\(sample)" }
}

/// What a rollout is for.
package enum RolloutKind: String, Sendable, Codable, CaseIterable {
    /// The response enters a training batch.
    case train
    /// The response is only measured: its tokens are never trained on.
    case evaluation
}

/// Why a response ended.
package enum FinishReason: String, Sendable, Codable, CaseIterable {
    /// The model emitted a stop token (which is the response's last id).
    case stop
    /// The token limit was reached.
    case length
    /// The episode had as many turns as there may be, and its environment was not done.
    case turns
    /// The episode's environment failed, and failed again when the episode was played once more.
    case environment

    /// Whether a limit ended it.
    package var isTruncated: Bool { self == .length || self == .turns }
}

/// One sampled response, as its rollout worker saw it.
///
/// `behaviourLogprobs` and `policyVersions` have one entry a sampled token, and so has all that is said of it later: what
/// an environment said in between (``TokenSequence/given``) is read alone.
package struct Trajectory: TokenSequenceHolder, Sendable, Equatable {
    package var id: RolloutID
    package var kind: RolloutKind
    /// Name of the teacher that grades it, a key of the configuration's `teachers`; nil: none does.
    package var teacher: String?
    package var tokens: TokenSequence
    /// Log-probability in nats of each token under the (tempered) policy that sampled it.
    package var behaviourLogprobs: [Float]
    /// Version of the weights each token was sampled with.
    package var policyVersions: PolicyVersions
    package var finishReason: FinishReason
    /// Sampling temperature; the policy is softmax(logits / temperature).
    package var temperature: Float
    /// What an environment gave for the episode, 0 ... 1; nil: there was none, or it gave nothing.
    package var reward: Double?

    package init(
        id: RolloutID, kind: RolloutKind, teacher: String?, promptIDs: [Int32], responseIDs: [Int32],
        behaviourLogprobs: [Float], policyVersions: PolicyVersions, finishReason: FinishReason, temperature: Float
    ) {
        self.id = id
        self.kind = kind
        self.teacher = teacher
        self.tokens = TokenSequence(promptIDs: promptIDs, responseIDs: responseIDs)
        self.behaviourLogprobs = behaviourLogprobs
        self.policyVersions = policyVersions
        self.finishReason = finishReason
        self.temperature = temperature
    }

    /// Whether a teacher grades it.
    package var isGraded: Bool { teacher != nil }
    /// Tokens of the response that were sampled.
    package var sampledCount: Int { tokens.predictedCount }
    /// Turns of the episode; 1 without an environment.
    package var turns: Int { tokens.given.count + 1 }
    /// The response's last turn, which is all of it without an environment.
    package var lastTurn: ArraySlice<Int32> { responseIDs[(tokens.given.last?.upperBound ?? 0)...] }
}

/// A trajectory with its teacher's grades and its verifier's verdict.
package struct ScoredTrajectory: Sendable, Equatable {
    package var trajectory: Trajectory
    /// Log-probability in nats of each sampled token under the teacher; none where no teacher
    /// grades.
    package var teacherLogprobs: [Float]
    /// The teacher's distribution at each response token; nil where it was not asked for.
    package var top: TopTokens?
    /// The distributions of several teachers that have graded it together; none where one alone has.
    package var lists: [SharedTopTokens] = []
    /// The teacher's last hidden states at the response tokens; nil where they were not asked for.
    package var hidden: HiddenStates?
    /// How each sampled token was compared with its teacher; nil: by the teacher's log-probability of it.
    package var comparisons: [TokenComparison]?
    /// What the prompt's verifier says; nil where it has none.
    package var verdict: Verdict?
    /// What the step that trained on it has measured at its tokens; nil before that, and of what no step trains on.
    package var measures: TokenMeasures?
    /// Label of the teacher that sampled it; nil: the student did.
    package var sampler: String?
    /// Ids of what the teacher read in the prompt's place; nil: the prompt itself.
    package var teacherPromptIDs: [Int32]?
    /// Tokens of the response as teachers with other tokenizers read it, by label.
    package var teacherResponseCounts: [String: Int] = [:]
    /// What further teachers read, where several have graded it together.
    package var otherReadings: [TeacherReading] = []

    package init(
        trajectory: Trajectory, teacherLogprobs: [Float], top: TopTokens? = nil, hidden: HiddenStates? = nil,
        verdict: Verdict? = nil, sampler: String? = nil
    ) {
        self.trajectory = trajectory
        self.teacherLogprobs = teacherLogprobs
        self.top = top
        self.hidden = hidden
        self.verdict = verdict
        self.sampler = sampler
    }
}

extension ScoredTrajectory {
    /// What its teachers have read, whether they graded it or one of them sampled it.
    package var readings: [TeacherReading] {
        guard let label = sampler ?? trajectory.teacher else { return [] }
        let own = teacherPromptIDs?.count ?? trajectory.promptIDs.count
        return [TeacherReading(label: label, promptCount: own, responseCount: teacherResponseCounts[label])]
            + otherReadings
    }
}

extension [Float] {
    /// Whether all are numbers.
    package var areFinite: Bool {
        // One more than the largest exponent runs over into the sign's bit. No way out of the loop, so that it is done
        // many at a time.
        reduce(0) { $0 | (($1.bitPattern & 0x7fff_ffff) + 0x0080_0000) } < 0x8000_0000
    }
}

extension [Int32] {
    /// Whether all are token ids of a vocabulary of this size.
    package func areTokens(vocabularySize: Int32) -> Bool {
        // Negative when the id is, or when it is past the last. No way out of the loop here either.
        reduce(0) { $0 | $1 | (vocabularySize &- 1 &- $1) } >= 0
    }
}
