import Distillation
import Wire

extension Exchange {
    /// Takes trajectories: the first of each rollout goes into the ledger; all are acknowledged.
    mutating func take(_ trajectories: [Trajectory], _ peer: PeerID, _ now: Duration) -> [Action] {
        guard members[peer]?.role == .rollout else { return [wrongRole(peer, "trajectories")] }
        var actions: [Action] = []
        // What comes in one message after a refusal is not looked at.
        for trajectory in trajectories where members[peer] != nil {
            let item = WorkItem(id: trajectory.id, kind: trajectory.kind)
            guard case .missing = table.items[item], let group = table.groups[table.key(of: item)] else {
                counters.duplicates += 1
                continue
            }
            if let flaw = flaw(of: trajectory, group) {
                actions.append(.suspect(ScoredTrajectory(trajectory: trajectory, teacherLogprobs: []), flaw: flaw))
                actions += invalid(item, group.lease, peer, flaw)
                continue
            }
            members[peer]?.invalidResults = 0
            // In this order: a lease that ends frees what its group still misses.
            table.accept(trajectory, item)
            actions += settle(item, group.lease, by: peer, now)
            ledger.accept(tokens: trajectory.responseIDs.count, kind: trajectory.kind)
        }
        unacknowledged[peer, default: []] += trajectories.lazy.map { WorkItem(id: $0.id, kind: $0.kind) }
        return actions
    }

    /// Takes grades: the first of each trajectory counts; all are acknowledged.
    mutating func take(_ scores: [Score], _ peer: PeerID, _ now: Duration) -> [Action] {
        guard let member = members[peer], member.role == .scorer else { return [wrongRole(peer, "scores")] }
        var actions: [Action] = []
        for score in scores where members[peer] != nil {
            let item = WorkItem(id: score.id, kind: score.kind)
            guard case .unscored(let trajectory, let lease) = table.items[item] else {
                counters.duplicates += 1
                continue
            }
            if let flaw = flaw(of: score, trajectory, member) {
                let isHolder = lease.map { leases[$0]?.holder == peer } ?? false
                let scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: score.logprobs)
                actions.append(.suspect(scored, flaw: flaw))
                actions += invalid(item, lease, peer, flaw)
                if isHolder { giveUpGrading(item, trajectory) }
                continue
            }
            members[peer]?.invalidResults = 0
            actions += settle(item, lease, by: peer, now)
            table.accept(score.logprobs, item)
            ledger.grade(tokens: score.logprobs.count)
        }
        unacknowledged[peer, default: []] += scores.lazy.map { WorkItem(id: $0.id, kind: $0.kind) }
        return actions
    }

    /// Tells the senders of the results that were taken since the last call.
    mutating func acknowledgements() -> [Action] {
        guard !unacknowledged.isEmpty else { return [] }
        defer { unacknowledged.removeAll(keepingCapacity: true) }
        let limit = WireLimits.standard.items
        return unacknowledged.sorted { $0.key.description < $1.key.description }.flatMap { peer, items in
            stride(from: 0, to: items.count, by: limit).map { start in
                let part = Array(items[start..<min(start + limit, items.count)])
                return .send(.acknowledge(Acknowledge(items: part)), to: peer)
            }
        }
    }

    /// Takes a delivered item out of its lease; a holder that was overtaken is told.
    private mutating func settle(_ item: WorkItem, _ id: UInt64?, by peer: PeerID, _ now: Duration) -> [Action] {
        guard let id, let holder = leases[id]?.holder else { return [] }
        if leases[id]?.items.remove(item) != nil { members[holder]?.tasks -= 1 }
        if holder == peer { leases[id]?.deadline = now + options.lease }
        if leases[id]?.items.isEmpty == true, let lease = leases.removeValue(forKey: id) {
            members[holder]?.held.remove(id)
            if let group = lease.group { table.release(group) }
        }
        return holder == peer ? [] : [.send(.revoke(Revoke(items: [item])), to: holder)]
    }

    // MARK: Checks

    private func flaw(of trajectory: Trajectory, _ group: WorkTable.Group) -> String? {
        let count = trajectory.responseIDs.count
        let sampling = trajectory.kind == .train ? plan.sampling : plan.evaluationSampling
        if trajectory.promptIDs != group.prompt.ids { return "its prompt is another" }
        if trajectory.teacher != group.prompt.teacher { return "its teacher is another" }
        if trajectory.temperature != sampling.temperature { return "its temperature is another" }
        if count > sampling.maxTokens { return "it has \(count) tokens, \(sampling.maxTokens) are allowed" }
        // A scorer would stop at it, and the learner must not: it has no row of the embedding.
        if !trajectory.responseIDs.areTokens(vocabularySize: options.vocabularySize) {
            let id = trajectory.responseIDs.first { $0 < 0 || $0 >= options.vocabularySize } ?? -1
            return "it holds token id \(id), outside the vocabulary of \(options.vocabularySize)"
        }
        if trajectory.behaviourLogprobs.count != count || trajectory.policyVersions.count != count {
            return "its arrays differ in length"
        }
        if !trajectory.behaviourLogprobs.areFinite { return "a log-probability is not finite" }
        for run in trajectory.policyVersions.runs where run.version < group.minimumVersion || run.version > version {
            return "it was sampled with weights \(run.version), not \(group.minimumVersion)...\(version)"
        }
        return nil
    }

    private func flaw(of score: Score, _ trajectory: Trajectory, _ member: Member) -> String? {
        let count = trajectory.responseIDs.count
        if !member.teachers.contains(trajectory.teacher) { return "it is for teacher '\(trajectory.teacher)'" }
        if score.logprobs.count != count { return "\(score.logprobs.count) grades for \(count) tokens" }
        if !score.logprobs.areFinite { return "a log-probability is not finite" }
        return nil
    }

    /// A result that does not fit: dropped, its task issued again, and its sender refused when it goes on so.
    private mutating func invalid(_ item: WorkItem, _ id: UInt64?, _ peer: PeerID, _ flaw: String) -> [Action] {
        counters.invalid += 1
        let sender = name(peer)
        var actions = [note(.warning, "\(sender): the result for rollout \(item.id) is invalid: \(flaw)")]
        members[peer]?.invalidResults += 1
        if let id, leases[id]?.holder == peer { release(id) }
        if members[peer]?.invalidResults == options.invalidResultLimit {
            actions += remove(peer)
            let message = "\(options.invalidResultLimit) invalid results in a row, the last: \(flaw)"
            actions.append(.send(.reject(Reject(code: .invalidRequest, message: message)), to: peer))
            actions.append(note(.warning, "\(sender) was refused: \(message)"))
        }
        return actions
    }

    /// Takes a trajectory whose gradings never fit as graded with no number.
    private mutating func giveUpGrading(_ item: WorkItem, _ trajectory: Trajectory) {
        badGradings[item, default: 0] += 1
        guard badGradings[item, default: 0] >= options.gradingLimit else { return }
        table.accept([Float](repeating: .nan, count: trajectory.responseIDs.count), item)
    }

    mutating func wrongRole(_ peer: PeerID, _ what: String) -> Action {
        counters.invalid += 1
        return note(.warning, "\(name(peer)) sent \(what), which is not its role")
    }
}
