import Distillation
import Wire

extension Exchange {
    /// Takes trajectories: the first of each rollout goes into the ledger; all are acknowledged.
    mutating func take(_ trajectories: [Trajectory], _ peer: PeerID, _ now: Duration) -> [Action] {
        guard members[peer]?.role == .rollout else { return [wrongRole(peer, "trajectories")] }
        var actions: [Action] = []
        var doubted: Set<UInt64> = []
        // What comes in one message after a refusal is not looked at.
        for trajectory in trajectories where members[peer] != nil {
            let item = WorkItem(id: trajectory.id, kind: trajectory.kind)
            guard case .missing = table.items[item], let group = table.groups[table.key(of: item)] else {
                counters.duplicates += 1
                continue
            }
            if let flaw = flaw(of: trajectory, group, peer) {
                actions.append(.suspect(ScoredTrajectory(trajectory: trajectory, teacherLogprobs: []), flaw: flaw))
                actions += invalid(item, group.lease, peer, flaw)
                continue
            }
            let flaw = trajectory.behaviourLogprobs.areFinite ? nil : "a log-probability is not finite"
            let scored = ScoredTrajectory(
                trajectory: trajectory, teacherLogprobs: [], sampler: group.prompt.sampler)
            guard judge(scored, flaw, item, group.lease, peer, &doubted, &actions) else { continue }
            // In this order: a lease that ends frees what its group still misses.
            table.accept(trajectory, item)
            actions += settle(item, group.lease, by: peer, now)
            ledger.accept(tokens: trajectory.responseIDs.count, kind: trajectory.kind)
        }
        release(doubted)
        unacknowledged[peer, default: []] += trajectories.lazy.map { WorkItem(id: $0.id, kind: $0.kind) }
        return actions
    }

    /// Takes grades: the first of each trajectory counts; all are acknowledged.
    mutating func take(_ scores: [Score], _ peer: PeerID, _ now: Duration) -> [Action] {
        guard let member = members[peer], member.role == .scorer else { return [wrongRole(peer, "scores")] }
        var actions: [Action] = []
        var doubted: Set<UInt64> = []
        for score in scores where members[peer] != nil {
            let item = WorkItem(id: score.id, kind: score.kind)
            guard case .unscored(let trajectory, let lease) = table.items[item] else {
                counters.duplicates += 1
                continue
            }
            let scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: score.logprobs)
            if !member.teachers.contains(trajectory.teacher) {
                let flaw = "it is for teacher '\(trajectory.teacher)'"
                actions.append(.suspect(scored, flaw: flaw))
                actions += invalid(item, lease, peer, flaw)
                continue
            }
            guard judge(scored, flaw(of: scored), item, lease, peer, &doubted, &actions) else { continue }
            actions += settle(item, lease, by: peer, now)
            let count = trajectory.responseIDs.count
            // Grades that are not one a token are none.
            let grades = score.logprobs.count == count ? score.logprobs : [Float](repeating: .nan, count: count)
            table.accept(grades, item)
            ledger.grade(tokens: count)
        }
        release(doubted)
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

    private func flaw(of trajectory: Trajectory, _ group: WorkTable.Group, _ peer: PeerID) -> String? {
        let count = trajectory.responseIDs.count
        let sampling = trajectory.kind == .train ? plan.sampling : plan.evaluationSampling
        if trajectory.promptIDs != group.prompt.ids { return "its prompt is another" }
        if trajectory.teacher != group.prompt.teacher { return "its teacher is another" }
        let sampler = group.prompt.sampler
        if members[peer]?.samples(with: sampler) != true { return "it is for a worker of teacher '\(sampler)'" }
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
        for run in trajectory.policyVersions.runs where run.version < group.minimumVersion || run.version > version {
            return "it was sampled with weights \(run.version), not \(group.minimumVersion)...\(version)"
        }
        return nil
    }

    private func flaw(of scored: ScoredTrajectory) -> String? {
        let count = scored.trajectory.responseIDs.count, grades = scored.teacherLogprobs
        if grades.count != count { return "\(grades.count) grades for \(count) tokens" }
        return grades.areFinite ? nil : "a log-probability is not finite"
    }

    /// A result that does not fit: dropped, its task issued again, and its sender refused when it goes on so.
    private mutating func invalid(_ item: WorkItem, _ id: UInt64?, _ peer: PeerID, _ flaw: String) -> [Action] {
        counters.invalid += 1
        let sender = name(peer)
        if let id, leases[id]?.holder == peer { release(id) }
        let told = note(.warning, "\(sender): the result for rollout \(item.id) is invalid: \(flaw)")
        return [told] + blame(peer, flaw)
    }

    /// Books an invalid result, and refuses a member that goes on so.
    private mutating func blame(_ peer: PeerID, _ flaw: String) -> [Action] {
        guard let sender = members[peer]?.name else { return [] }
        members[peer]?.invalidResults += 1
        guard members[peer]?.invalidResults == options.invalidResultLimit else { return [] }
        let message = "\(options.invalidResultLimit) invalid results in a row, the last: \(flaw)"
        return remove(peer) + [
            .send(.reject(Reject(code: .invalidRequest, message: message)), to: peer),
            note(.warning, "\(sender) was refused: \(message)"),
        ]
    }

    // MARK: Results without numbers

    /// Whether a result that fits its task is to be taken. One without numbers (`flaw`) is tried again, by another
    /// member first: which of member and model is to blame shows when another has numbers. When nobody has, the
    /// result is taken as it is, for the step to be judged.
    private mutating func judge(
        _ scored: ScoredTrajectory, _ flaw: String?, _ item: WorkItem, _ id: UInt64?, _ peer: PeerID,
        _ doubted: inout Set<UInt64>, _ actions: inout [Action]
    ) -> Bool {
        guard let flaw else {
            members[peer]?.invalidResults = 0
            let doubters = Set(doubts.removeValue(forKey: item) ?? []).subtracting([peer])
            for other in doubters.sorted(by: { $0.description < $1.description }) {
                actions += blame(other, "no numbers for rollout \(item.id), for which \(name(peer)) has some")
            }
            return true
        }
        counters.invalid += 1
        if doubts[item] == nil { actions.append(.suspect(scored, flaw: flaw)) }
        // The first time a member does it is news.
        let level: Note.Level = members[peer]?.hasDoubts == true ? .debug : .warning
        members[peer]?.hasDoubts = true
        actions.append(note(level, "\(name(peer)): the result for rollout \(item.id) has no numbers: \(flaw)"))
        guard let id, leases[id]?.holder == peer else { return false }
        doubts[item, default: []].append(peer)
        guard doubts[item, default: []].count < options.attemptLimit else {
            doubts[item] = nil
            return true
        }
        doubted.insert(id)
        return false
    }

    /// Ends leases, whose results are for others to try, once a whole message was looked at.
    private mutating func release(_ ids: Set<UInt64>) {
        for id in ids.sorted() { release(id) }
    }

    mutating func wrongRole(_ peer: PeerID, _ what: String) -> Action {
        counters.invalid += 1
        return note(.warning, "\(name(peer)) sent \(what), which is not its role")
    }
}
