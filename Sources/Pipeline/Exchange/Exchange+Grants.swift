import Distillation
import Wire

extension Exchange {
    /// Grants what is pending to members that want work, the emptiest-handed first.
    public mutating func pump(now: Duration) -> [Action] {
        guard finished == nil else { return [] }
        return grantRollouts(now) + grantScores(now)
    }

    private mutating func grantRollouts(_ now: Duration) -> [Action] {
        var grants: [PeerID: [RolloutTask]] = [:]
        while let key = table.pendingGroups.first, let peer = neediest(where: { $0.role == .rollout }) {
            let items = table.missing(key)
            let id = lease(items, group: key, to: peer, now)
            table.lease(key, id)
            guard let group = table.groups[key] else { continue }
            let sampling = key.kind == .train ? plan.sampling : plan.evaluationSampling
            grants[peer, default: []] += items.map {
                RolloutTask(
                    id: $0.id, kind: $0.kind, promptIDs: group.prompt.ids, teacher: group.prompt.teacher,
                    sampling: sampling, seed: group.seed, minimumVersion: group.minimumVersion, leaseID: id)
            }
        }
        return grants.sorted { $0.key.description < $1.key.description }
            .map { .send(.rolloutGrant(RolloutGrant(tasks: $0.value)), to: $0.key) }
    }

    private mutating func grantScores(_ now: Duration) -> [Action] {
        var grants: [PeerID: [ScoreTask]] = [:]
        while let (item, peer) = nextScore() {
            guard case .unscored(let trajectory, _) = table.items[item] else { break }
            let id = lease([item], group: nil, to: peer, now)
            table.leaseScore(item, id)
            grants[peer, default: []].append(
                ScoreTask(
                    id: item.id, kind: item.kind, teacher: trajectory.teacher,
                    ids: trajectory.promptIDs + trajectory.responseIDs, promptCount: trajectory.promptIDs.count,
                    leaseID: id))
        }
        return grants.sorted { $0.key.description < $1.key.description }
            .map { .send(.scoreGrant(ScoreGrant(tasks: $0.value)), to: $0.key) }
    }

    /// The first trajectory for which some scorer has room.
    private func nextScore() -> (WorkItem, PeerID)? {
        let waiting = table.pendingScores.compactMap { teacher, queue in queue.first.map { (teacher, $0) } }
        for (teacher, key) in waiting.sorted(by: { $0.1 < $1.1 }) {
            if let peer = neediest(where: { $0.role == .scorer && $0.teachers.contains(teacher) }) {
                return (key.item, peer)
            }
        }
        return nil
    }

    /// Of the members with room the one that holds least, and of equals the one whose last grant is oldest.
    private func neediest(where fits: (Member) -> Bool) -> PeerID? {
        var best: Member?
        for member in members.values where member.room && fits(member) {
            if let best, (best.tasks, best.lastGrant, best.name) < (member.tasks, member.lastGrant, member.name) {
                continue
            }
            best = member
        }
        return best?.peer
    }

    private mutating func lease(
        _ items: [WorkItem], group: WorkTable.GroupKey?, to peer: PeerID, _ now: Duration
    ) -> UInt64 {
        lastLease += 1
        grantCount += 1
        counters.grants += 1
        leases[lastLease] = Lease(holder: peer, items: Set(items), group: group, deadline: now + options.lease)
        members[peer]?.take(lastLease, tasks: items.count, grant: grantCount)
        return lastLease
    }
}
