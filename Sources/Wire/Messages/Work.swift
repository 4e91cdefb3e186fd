import Distillation
import Tokens

/// One piece of work: a rollout and what it is for.
package struct WorkItem: Hashable, Sendable {
    package var id: RolloutID
    package var kind: RolloutKind

    package init(id: RolloutID, kind: RolloutKind) {
        self.id = id
        self.kind = kind
    }
}

/// A member asks for tasks.
package struct LeaseRequest: Sendable, Equatable {
    /// How many tasks the member wants to hold at once, at least 1: responses to sample, or sequences to grade. The
    /// samples of a group come together, so a rollout worker's last grant may exceed it. It stands until the next
    /// request: repeating it changes nothing.
    package var count: Int
    package var epoch: UInt64

    package init(count: Int, epoch: UInt64) {
        self.count = count
        self.epoch = epoch
    }
}

/// Responses to sample from one prompt, under one lease: as they travel.
package struct RolloutGroup: Sendable, Equatable {
    package var leaseID: UInt64
    package var kind: RolloutKind
    package var group: UInt64
    /// Numbers of the responses to sample, at least one.
    package var samples: [UInt32]
    /// Ids of the prompt, at least one.
    package var promptIDs: [Int32]
    package var sampling: SamplingSettings
    /// Keys the counter-based random numbers, together with a response's sample number.
    package var seed: UInt64
    /// Oldest weight version a first token may be sampled with.
    package var minimumVersion: UInt64
    /// What an environment begins the episodes with, a JSON object, at most ``longestEpisode`` bytes; nil: nothing.
    package var episode: String?

    package static let longestEpisode = 1 << 16

    package init(
        leaseID: UInt64, kind: RolloutKind, group: UInt64, samples: [UInt32], promptIDs: [Int32],
        sampling: SamplingSettings, seed: UInt64, minimumVersion: UInt64
    ) {
        self.leaseID = leaseID
        self.kind = kind
        self.group = group
        self.samples = samples
        self.promptIDs = promptIDs
        self.sampling = sampling
        self.seed = seed
        self.minimumVersion = minimumVersion
    }

    /// A task for each sample.
    package var tasks: [RolloutTask] {
        samples.map {
            var task = RolloutTask(
                id: RolloutID(group: group, sample: $0), kind: kind, promptIDs: promptIDs, sampling: sampling,
                seed: seed, minimumVersion: minimumVersion, leaseID: leaseID)
            task.episode = episode
            return task
        }
    }
}

/// A response to sample: one of a `RolloutGroup`.
package struct RolloutTask: Sendable, Equatable {
    package var id: RolloutID
    package var kind: RolloutKind
    package var promptIDs: [Int32]
    package var sampling: SamplingSettings
    /// Keys the counter-based random numbers, together with the id's sample number.
    package var seed: UInt64
    /// Oldest weight version the first token may be sampled with.
    package var minimumVersion: UInt64
    package var leaseID: UInt64
    /// What an environment begins the episode with, a JSON object; nil: nothing.
    package var episode: String?
    /// The position of the first token, from which random numbers are counted: the tokens of the response that are part of
    /// `promptIDs` already.
    package var firstPosition = 0

    package init(
        id: RolloutID, kind: RolloutKind, promptIDs: [Int32], sampling: SamplingSettings, seed: UInt64,
        minimumVersion: UInt64, leaseID: UInt64
    ) {
        self.id = id
        self.kind = kind
        self.promptIDs = promptIDs
        self.sampling = sampling
        self.seed = seed
        self.minimumVersion = minimumVersion
        self.leaseID = leaseID
    }
}

/// Tasks for a rollout worker; empty when there is nothing to do now.
package struct RolloutGrant: Sendable, Equatable {
    package var groups: [RolloutGroup]

    package init(groups: [RolloutGroup]) { self.groups = groups }
}

/// A sampled response. What it was sampled from, and how, the learner knows by its id and kind.
///
/// `behaviourLogprobs` and `policyVersions` have one entry a response token that was sampled: all but those that `given`
/// names.
package struct RolloutResult: Sendable, Equatable {
    package var id: RolloutID
    package var kind: RolloutKind
    package var responseIDs: [Int32]
    /// Log-probabilities in nats, under the (tempered) policy that sampled each token.
    package var behaviourLogprobs: [Float]
    /// Version of the weights each token was sampled with.
    package var policyVersions: PolicyVersions
    package var finishReason: FinishReason
    /// Where an environment's tokens stand in the response, as ``TokenSequence/given`` has them.
    package var given: [Range<Int>] = []
    /// What the environment gave, 0 ... 1; nil: nothing.
    package var reward: Double?

    package init(
        id: RolloutID, kind: RolloutKind, responseIDs: [Int32], behaviourLogprobs: [Float],
        policyVersions: PolicyVersions, finishReason: FinishReason
    ) {
        self.id = id
        self.kind = kind
        self.responseIDs = responseIDs
        self.behaviourLogprobs = behaviourLogprobs
        self.policyVersions = policyVersions
        self.finishReason = finishReason
    }

    /// What a trajectory has beyond its task.
    package init(_ trajectory: Trajectory) {
        self.init(
            id: trajectory.id, kind: trajectory.kind, responseIDs: trajectory.responseIDs,
            behaviourLogprobs: trajectory.behaviourLogprobs, policyVersions: trajectory.policyVersions,
            finishReason: trajectory.finishReason)
        given = trajectory.tokens.given
        reward = trajectory.reward
    }
}

/// Results of a rollout worker.
package struct Trajectories: Sendable, Equatable {
    package var results: [RolloutResult]
    /// Epoch in which the leases were granted.
    package var epoch: UInt64

    package init(results: [RolloutResult], epoch: UInt64) {
        self.results = results
        self.epoch = epoch
    }

    package init(trajectories: [Trajectory], epoch: UInt64) {
        self.init(results: trajectories.map(RolloutResult.init), epoch: epoch)
    }
}

/// A sequence to grade, under a lease. It is answered by one log-probability a response token.
package struct ScoreTask: TokenSequenceHolder, Sendable, Equatable {
    package var id: RolloutID
    package var kind: RolloutKind
    /// The teacher to grade with, one of the scorer's.
    package var teacher: String
    /// The prompt has at least one token; the response may have none.
    package var tokens: TokenSequence
    package var leaseID: UInt64
    /// What is asked for at every response token.
    package var request: GradeRequest
    /// The version of the learner's weights to grade with; nil: the teacher's own weights.
    package var weightsVersion: UInt64?

    package init(
        id: RolloutID, kind: RolloutKind, teacher: String, tokens: TokenSequence, leaseID: UInt64,
        request: GradeRequest = .sampled
    ) {
        self.id = id
        self.kind = kind
        self.teacher = teacher
        self.tokens = tokens
        self.leaseID = leaseID
        self.request = request
    }

    /// - Parameter promptCount: where the response starts, 0 ... ids.count.
    package init(
        id: RolloutID, kind: RolloutKind, teacher: String, ids: [Int32], promptCount: Int, leaseID: UInt64,
        request: GradeRequest = .sampled
    ) {
        self.init(
            id: id, kind: kind, teacher: teacher, tokens: TokenSequence(ids: ids, promptCount: promptCount),
            leaseID: leaseID, request: request)
    }

    /// Prompt and response, joined.
    package var ids: [Int32] { tokens.ids }
    /// Where the response starts in `ids`.
    package var promptCount: Int { promptIDs.count }
}

/// Tasks for a scorer; empty when there is nothing to do now.
package struct ScoreGrant: Sendable, Equatable {
    package var tasks: [ScoreTask]

    package init(tasks: [ScoreTask]) { self.tasks = tasks }
}

/// A teacher's grades of one rollout.
package struct Score: Sendable, Equatable {
    package var id: RolloutID
    package var kind: RolloutKind
    /// Log-probabilities in nats, one a response token.
    package var logprobs: [Float]
    /// The teacher's most probable tokens at each of them; nil where they were not asked for.
    package var top: TopTokens?
    /// The teacher's last hidden states; nil where they were not asked for.
    package var hidden: HiddenStates?

    package init(
        id: RolloutID, kind: RolloutKind, logprobs: [Float], top: TopTokens? = nil, hidden: HiddenStates? = nil
    ) {
        self.id = id
        self.kind = kind
        self.logprobs = logprobs
        self.top = top
        self.hidden = hidden
    }

    package init(id: RolloutID, kind: RolloutKind, grade: Grade) {
        self.init(id: id, kind: kind, logprobs: grade.logprobs, top: grade.top, hidden: grade.hidden)
    }

    package var grade: Grade { Grade(logprobs: logprobs, top: top, hidden: hidden) }
}

/// Results of a scorer.
package struct Scores: Sendable, Equatable {
    package var scores: [Score]
    /// Epoch in which the leases were granted.
    package var epoch: UInt64

    package init(scores: [Score], epoch: UInt64) {
        self.scores = scores
        self.epoch = epoch
    }
}

/// Results the learner has, or no longer wants: their sender forgets them.
package struct Acknowledge: Sendable, Equatable {
    package var items: [WorkItem]

    package init(items: [WorkItem]) { self.items = items }
}

/// Work that is void: its holder stops and forgets it.
package struct Revoke: Sendable, Equatable {
    package var items: [WorkItem]

    package init(items: [WorkItem]) { self.items = items }
}
