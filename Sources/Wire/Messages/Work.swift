import Distillation

/// One piece of work: a rollout and what it is for.
public struct WorkItem: Hashable, Sendable {
    public var id: RolloutID
    public var kind: RolloutKind

    public init(id: RolloutID, kind: RolloutKind) {
        self.id = id
        self.kind = kind
    }
}

/// A member asks for tasks.
public struct LeaseRequest: Sendable, Equatable {
    /// How many leases the member wants to hold at once, at least 1: groups for a rollout worker, sequences for a
    /// scorer. It stands until the next request, so repeating it changes nothing.
    public var count: Int
    public var epoch: UInt64

    public init(count: Int, epoch: UInt64) {
        self.count = count
        self.epoch = epoch
    }
}

/// How to sample a response.
public struct SamplingSettings: Sendable, Hashable {
    public var maxTokens: Int
    /// 0 is greedy.
    public var temperature: Float
    /// 0 < topP <= 1; 1 is off.
    public var topP: Float
    /// 0 is off.
    public var topK: Int
    /// Ids that end a response, as its last id.
    public var stopTokenIDs: [Int32]

    public init(maxTokens: Int, temperature: Float, topP: Float, topK: Int, stopTokenIDs: [Int32]) {
        self.maxTokens = maxTokens
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.stopTokenIDs = stopTokenIDs
    }
}

/// A response to sample, under a lease.
public struct RolloutTask: Sendable, Equatable {
    public var id: RolloutID
    public var kind: RolloutKind
    public var promptIDs: [Int32]
    public var teacher: String
    public var sampling: SamplingSettings
    /// With the id it keys the counter-based random numbers.
    public var seed: UInt64
    /// Oldest weight version the first token may be sampled with.
    public var minimumVersion: UInt64
    public var leaseID: UInt64

    public init(
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
public struct RolloutGrant: Sendable, Equatable {
    public var tasks: [RolloutTask]

    public init(tasks: [RolloutTask]) { self.tasks = tasks }
}

/// Results of a rollout worker.
public struct Trajectories: Sendable, Equatable {
    public var trajectories: [Trajectory]
    /// Epoch in which the leases were granted.
    public var epoch: UInt64

    public init(trajectories: [Trajectory], epoch: UInt64) {
        self.trajectories = trajectories
        self.epoch = epoch
    }
}

/// A sequence to grade, under a lease.
public struct ScoreTask: Sendable, Equatable {
    public var id: RolloutID
    public var kind: RolloutKind
    /// The teacher to grade with, one of the scorer's.
    public var teacher: String
    /// Prompt and response.
    public var ids: [Int32]
    /// 1 ... ids.count: where the response starts. Answered by `ids.count - promptCount` log-probabilities.
    public var promptCount: Int
    public var leaseID: UInt64

    public init(
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
public struct ScoreGrant: Sendable, Equatable {
    public var tasks: [ScoreTask]

    public init(tasks: [ScoreTask]) { self.tasks = tasks }
}

/// A teacher's grades of one rollout.
public struct Score: Sendable, Equatable {
    public var id: RolloutID
    public var kind: RolloutKind
    /// In nats, one a response token.
    public var logprobs: [Float]

    public init(id: RolloutID, kind: RolloutKind, logprobs: [Float]) {
        self.id = id
        self.kind = kind
        self.logprobs = logprobs
    }
}

/// Results of a scorer.
public struct Scores: Sendable, Equatable {
    public var scores: [Score]
    /// Epoch in which the leases were granted.
    public var epoch: UInt64

    public init(scores: [Score], epoch: UInt64) {
        self.scores = scores
        self.epoch = epoch
    }
}

/// Results the learner has, or no longer wants: their sender forgets them.
public struct Acknowledge: Sendable, Equatable {
    public var items: [WorkItem]

    public init(items: [WorkItem]) { self.items = items }
}

/// Work that is void: its holder stops and forgets it.
public struct Revoke: Sendable, Equatable {
    public var items: [WorkItem]

    public init(items: [WorkItem]) { self.items = items }
}
