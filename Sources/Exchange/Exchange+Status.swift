import Distillation
import Wire
import Wording

/// What the learner's next step waits for.
package enum ExchangeStage: Sendable, Equatable {
    /// Trajectories of its batch are missing.
    case rollouts
    /// Every trajectory is there; grades are missing.
    case scores
    /// The batch is complete.
    case ready
}

extension Exchange {
    /// What the next batch waits for.
    package var stage: ExchangeStage { Self.stage(batchProgress) }

    /// What the open evaluation waits for.
    package var evaluationStage: ExchangeStage { Self.stage(evaluationProgress) }

    private static func stage(_ progress: BatchProgress) -> ExchangeStage {
        if progress.missing > 0 { return .rollouts }
        return progress.isReady ? .ready : .scores
    }

    /// The step that a trajectory was for: the one that trains it, or the one after which it is evaluated.
    package func step(of trajectory: Trajectory) -> UInt64 {
        trajectory.kind == .train ? plan.step(of: trajectory.id.group) + 1 : version
    }

    /// Live members of a role, by name.
    package func peers(_ role: Role) -> [PeerID] {
        members.byName.filter { $0.role == role }.map(\.peer)
    }

    /// Rollout workers to whom differences of weights are of use: they can apply them, and have lately fetched chunks. One
    /// that shares the learner's memory never does.
    package var differenceTakers: Set<PeerID> {
        let takers = members.all.filter { member in
            member.weightRevision > 0 && member.fetchedVersion.map { version - min($0, version) <= 8 } ?? false
        }
        return Set(takers.map(\.peer))
    }

    /// What members have told that a forward pass of the teacher with this name costs; nil: none has.
    package func forwardCost(ofTeacher name: String) -> PassCost? { teacherCosts[name] }

    /// Live members of a role.
    package func memberCount(_ role: Role) -> Int { members.all.count { $0.role == role } }

    /// How the run is, as far as the exchange knows.
    package func status(now: Duration) -> Status {
        var status = Status(runID: options.runID, epoch: epoch, version: version, steps: plan.steps)
        status.waitingFor = waitingFor(now: now)?.text
        status.batch = Status.Batch(batchProgress)
        status.evaluation = Status.Batch(evaluationProgress)
        status.pendingGroups = table.pendingGroups.count
        status.queues = table.pendingScores.sorted { $0.key < $1.key }.filter { !$0.value.isEmpty }
            .map { Status.Queue(teacher: $0.key, waiting: $0.value.count) }
        status.leases = leases.count
        let counts = ledger.counts
        (status.generated, status.trained) = (counts.generated, counts.trained)
        (status.discarded, status.inFlight) = (counts.discarded, counts.inFlight)
        status.members = members.byName.map { member in
            Status.Member(
                name: member.name, role: member.role, teachers: member.teachers, leases: member.held.count,
                tasks: member.tasks, window: member.window, state: member.status?.state ?? "joined",
                tokensPerSecond: member.status?.tokensPerSecond ?? 0, version: member.status?.version ?? 0,
                silenceSeconds: max(0, (now - member.lastSign).seconds))
        }
        return status
    }

    /// What holds the run up, and who; nil when the next batch is complete.
    package func waitingFor(now: Duration) -> Wait? {
        let evaluation = evaluating != nil
        let progress = evaluation ? evaluationProgress : batchProgress
        let what = evaluation ? "held-out rollouts" : "rollouts of step \(version + 1)"
        if progress.isReady { return nil }
        let keys = evaluation ? evaluationKeys : keys(step: version)
        let waiting = table.pendingScores.filter { !$0.value.isEmpty }.keys.sorted()
        for teacher in waiting where !members.all.contains(where: { $0.teachers.contains(teacher) }) {
            return Wait("waiting for a scorer for teacher '\(teacher)': none is connected")
        }
        if progress.missing > 0 {
            if memberCount(.rollout) == 0 { return Wait("waiting for a rollout worker: none is connected") }
            let wanted = Set(keys.flatMap { table.missing($0) })
            let samplers = Set(wanted.compactMap { table.groups[table.key(of: $0)]?.prompt.sampler })
            for sampler in samplers.sorted() where !members.all.contains(where: { $0.samples(with: sampler) }) {
                return Wait("waiting for a rollout worker of teacher '\(sampler)': none is connected")
            }
            return Wait("waiting for \(progress.missing) of \(progress.total) \(what)", holders(of: wanted, now))
        }
        let open = Set(keys)
        let wanted = Set(
            table.items.compactMap { item, state in
                if case .unscored = state, open.contains(table.key(of: item)) { item } else { nil }
            })
        return Wait(
            "waiting for the grades of \(progress.unscored) of \(progress.total) \(what)", holders(of: wanted, now))
    }

    /// A cause for a run to stand still.
    package struct Wait: Sendable, Equatable {
        /// What is missing; stays the same until something comes.
        package var what: String
        /// Who has it, and how those are.
        package var who: String

        init(_ what: String, _ who: String = "") {
            self.what = what
            self.who = who
        }

        /// The same for as long as the same is missing from the same: what is in brackets changes with time.
        package var key: String { what + who.replacing(#/ \([^)]*\)/#, with: "") }

        package var text: String { who.isEmpty ? what : "\(what): \(who)" }
    }

    /// Who has leases on these: `rollout-0 has 3 (sampling 3), rollout-1 has 1 (joined, silent for 7 s)`.
    private func holders(of items: Set<WorkItem>, _ now: Duration) -> String {
        var counts: [PeerID: Int] = [:]
        for lease in leases.all { counts[lease.holder, default: 0] += lease.items.count(where: items.contains) }
        var parts = counts.filter { $0.value > 0 }.compactMap { peer, count -> String? in
            guard let member = members[peer] else { return nil }
            let silence = now - member.lastSign
            let silent =
                silence > max(options.heartbeat * 2, .seconds(1)) ? ", silent for \(silence.components.seconds) s" : ""
            return "\(member.name) has \(count) (\(member.status?.state ?? "joined")\(silent))"
        }.sorted()
        let free = items.count - counts.values.reduce(0, +)
        if free > 0 { parts.append("\(free) wait until a member has room") }
        // A cluster has more members than a line has room.
        if parts.count > 4 { parts[3...] = ["and \(parts.count - 3) more"] }
        return parts.joined(separator: ", ")
    }

    /// Open training groups, for the capacity bound: opened, not trained.
    package var openGroupCount: Int { table.groups.keys.count { $0.kind == .train } }

    /// Whether rollouts are in workers' hands, and trajectories in scorers'.
    package var leaseKinds: (rollouts: Bool, scores: Bool) {
        (rollouts: leases.count > leases.scoreCount, scores: leases.scoreCount > 0)
    }

    /// Numbers of the leases that are out, ascending.
    package var leaseIDs: [UInt64] { leases.byNumber.map(\.id) }

    /// Leases that are out.
    package var leaseCount: Int { leases.count }
}

extension Status.Batch {
    init(_ progress: BatchProgress) {
        self.init(total: progress.total, missing: progress.missing, ready: progress.ready)
    }
}
