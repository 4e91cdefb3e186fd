import Distillation
import Wire

/// What the learner's next step waits for.
public enum ExchangeStage: Sendable, Equatable {
    /// Trajectories of its batch are missing.
    case rollouts
    /// Every trajectory is there; grades are missing.
    case scores
    /// The batch is complete.
    case ready
}

/// A member, for a person.
public struct MemberStatus: Sendable, Equatable {
    public var name: String
    public var role: Role
    public var leases: Int
    public var state: String
    public var tokensPerSecond: Double
    public var version: UInt64
    public var silence: Duration
}

extension Exchange {
    /// What the next batch waits for.
    public var stage: ExchangeStage { Self.stage(batchProgress) }

    /// What the open evaluation waits for.
    public var evaluationStage: ExchangeStage { Self.stage(evaluationProgress) }

    private static func stage(_ progress: BatchProgress) -> ExchangeStage {
        if progress.missing > 0 { return .rollouts }
        return progress.isReady ? .ready : .scores
    }

    /// The step that a trajectory was for: the one that trains it, or the one after which it is evaluated.
    public func step(of trajectory: Trajectory) -> UInt64 {
        trajectory.kind == .train ? plan.step(of: trajectory.id.group) + 1 : version
    }

    /// Live members of a role, by name.
    public func peers(_ role: Role) -> [PeerID] {
        members.values.filter { $0.role == role }.sorted { $0.name < $1.name }.map(\.peer)
    }

    /// Live members of a role.
    public func memberCount(_ role: Role) -> Int { members.values.count { $0.role == role } }

    /// Everyone, by name.
    public func memberStatus(now: Duration) -> [MemberStatus] {
        members.values.sorted { $0.name < $1.name }.map {
            MemberStatus(
                name: $0.name, role: $0.role, leases: $0.held.count, state: $0.heartbeat?.state ?? "joined",
                tokensPerSecond: $0.heartbeat?.tokensPerSecond ?? 0, version: $0.heartbeat?.version ?? 0,
                silence: now - $0.lastSign)
        }
    }

    /// One line about what holds the run up, for a person; nil when the next batch is complete.
    public var waitingFor: String? {
        let evaluation = evaluating != nil
        let progress = evaluation ? evaluationProgress : batchProgress
        let what = evaluation ? "held-out rollouts" : "rollouts of step \(version + 1)"
        if progress.isReady { return nil }
        let waiting = table.pendingScores.filter { !$0.value.isEmpty }.keys.sorted()
        for teacher in waiting where !members.values.contains(where: { $0.teachers.contains(teacher) }) {
            return "waiting for a scorer for teacher '\(teacher)': none is connected"
        }
        if progress.missing > 0 {
            if memberCount(.rollout) == 0 { return "waiting for a rollout worker: none is connected" }
            return "waiting for \(progress.missing) of \(progress.total) \(what)"
        }
        return "waiting for the grades of \(progress.unscored) of \(progress.total) \(what)"
    }

    /// Open training groups, for the capacity bound: opened, not trained.
    public var openGroupCount: Int { table.groups.keys.count { $0.kind == .train } }

    /// Whether rollouts are in workers' hands, and trajectories in scorers'.
    public var leaseKinds: (rollouts: Bool, scores: Bool) {
        var kinds = (rollouts: false, scores: false)
        for lease in leases.values {
            if lease.group == nil { kinds.scores = true } else { kinds.rollouts = true }
            if kinds.rollouts && kinds.scores { break }
        }
        return kinds
    }

    /// Leases that are out.
    public var leaseCount: Int { leases.count }
}
