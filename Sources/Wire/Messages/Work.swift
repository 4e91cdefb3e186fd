import Distillation

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
    /// How many leases the member wants to hold at once, at least 1: groups for a rollout worker, sequences for a
    /// scorer. It stands until the next request, so repeating it changes nothing.
    package var count: Int
    package var epoch: UInt64

    package init(count: Int, epoch: UInt64) {
        self.count = count
        self.epoch = epoch
    }
}

/// A response to sample, under a lease.
package struct RolloutTask: Sendable, Equatable {
    package var id: RolloutID
    package var kind: RolloutKind
    package var promptIDs: [Int32]
    package var teacher: String
    package var sampling: SamplingSettings
    /// With the id it keys the counter-based random numbers.
    package var seed: UInt64
    /// Oldest weight version the first token may be sampled with.
    package var minimumVersion: UInt64
    package var leaseID: UInt64

    package init(
        id: RolloutID, kind: RolloutKind, promptIDs: [Int32], teacher: String, sampling: SamplingSettings,
        seed: UInt64, minimumVersion: UInt64, leaseID: UInt64
    ) {
        self.id = id
        self.kind = kind
        self.promptIDs = promptIDs
        self.teacher = teacher
        self.sampling = sampling
        self.seed = seed
        self.minimumVersion = minimumVersion
        self.leaseID = leaseID
    }
}

/// Tasks for a rollout worker; empty when there is nothing to do now.
package struct RolloutGrant: Sendable, Equatable {
    package var tasks: [RolloutTask]

    package init(tasks: [RolloutTask]) { self.tasks = tasks }
}

/// Results of a rollout worker.
package struct Trajectories: Sendable, Equatable {
    package var trajectories: [Trajectory]
    /// Epoch in which the leases were granted.
    package var epoch: UInt64

    package init(trajectories: [Trajectory], epoch: UInt64) {
        self.trajectories = trajectories
        self.epoch = epoch
    }
}

/// A sequence to grade, under a lease.
package struct ScoreTask: Sendable, Equatable {
    package var id: RolloutID
    package var kind: RolloutKind
    /// The teacher to grade with, one of the scorer's.
    package var teacher: String
    /// Prompt and response.
    package var ids: [Int32]
    /// 1 ... ids.count: where the response starts. Answered by `ids.count - promptCount` log-probabilities.
    package var promptCount: Int
    package var leaseID: UInt64

    package init(
        id: RolloutID, kind: RolloutKind, teacher: String, ids: [Int32], promptCount: Int, leaseID: UInt64
    ) {
        self.id = id
        self.kind = kind
        self.teacher = teacher
        self.ids = ids
        self.promptCount = promptCount
        self.leaseID = leaseID
    }
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
    /// In nats, one a response token.
    package var logprobs: [Float]

    package init(id: RolloutID, kind: RolloutKind, logprobs: [Float]) {
        self.id = id
        self.kind = kind
        self.logprobs = logprobs
    }
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
