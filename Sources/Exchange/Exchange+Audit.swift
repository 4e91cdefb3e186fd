import Distillation

extension Exchange {
    /// The first broken invariant, or nil: for tests, which call it after every event.
    package func audit() -> String? {
        guard ledger.counts.balances else { return "the ledger does not balance: \(ledger.counts)" }
        if let batch = table.miscounted() { return "batch \(batch.number) is not counted as it is" }
        var inFlight = 0
        let pendingGroups = Set(table.pendingGroups.elements)
        let pendingScores = table.pendingScores.mapValues { Set($0.elements.map(\.item)) }
        for (item, state) in table.items {
            let key = table.key(of: item)
            guard let group = table.groups[key] else { return "\(item.id) has no group" }
            switch state {
            case .missing:
                guard group.missing.contains(item.id.sample) else { return "\(item.id) is missing and not listed so" }
                if let lease = group.lease {
                    guard leases[lease]?.items.contains(item) == true else { return "\(item.id): its lease is gone" }
                } else if !pendingGroups.contains(key) {
                    return "\(item.id) is lost: neither leased nor pending"
                }
            case .unscored(let grading, let lease):
                if item.kind == .train { inFlight += grading.trajectory.sampledCount }
                if let lease {
                    guard leases[lease]?.items == [item] else { return "\(item.id): its score lease is gone" }
                } else if pendingScores[grading.teacher.label]?.contains(item) != true {
                    return "\(item.id) is lost: neither leased nor waiting for a scorer"
                }
            case .ready(let scored):
                if item.kind == .train { inFlight += scored.trajectory.sampledCount }
                let grades = scored.trajectory.isGraded ? scored.trajectory.sampledCount : 0
                guard scored.teacherLogprobs.count == grades else {
                    return "\(item.id) has \(scored.teacherLogprobs.count) grades"
                }
                let teacher = scored.trajectory.teacher, request = gradeRequest(item, of: teacher)
                let listed = scored.trajectory.isGraded ? request.topCount : 0
                let counts = scored.lists.isEmpty ? [scored.top?.count ?? 0] : scored.lists.map(\.top.count)
                guard grades == 0 || !scored.teacherLogprobs.areFinite || counts.allSatisfy({ $0 == listed }) else {
                    return "\(item.id) lists \(counts) tokens a position, not \(listed)"
                }
                let size = request == .hidden ? teacher.flatMap { plan.heads[$0]?.hiddenSize } : nil
                guard grades == 0 || !scored.teacherLogprobs.areFinite || scored.hidden?.size == size else {
                    return "\(item.id) has hidden states of \(scored.hidden?.size ?? 0) numbers, not \(size ?? 0)"
                }
            }
        }
        guard UInt64(inFlight) == ledger.counts.inFlight else {
            return "\(inFlight) tokens are in flight, the ledger has \(ledger.counts.inFlight)"
        }
        for key in table.pendingGroups.elements where table.groups[key]?.lease != nil || table.missing(key).isEmpty {
            return "group \(key.group) is pending and should not be"
        }
        for key in table.groups.keys where key.kind == .train {
            guard key.group < plan.groupLimit(version: version), plan.step(of: key.group) >= version else {
                return "group \(key.group) is open at version \(version)"
            }
        }
        for (id, lease) in leases.byNumber where members[lease.holder]?.held.contains(id) != true {
            return "lease \(id) has no holder"
        }
        let scoreLeases = leases.all.count { if case .score = $0.kind { true } else { false } }
        guard scoreLeases == leases.scoreCount else { return "\(leases.scoreCount) score leases, not \(scoreLeases)" }
        for member in members.all {
            guard members[named: member.name]?.peer == member.peer else { return "\(member.name) is not listed so" }
            let tasks = member.held.reduce(0) { $0 + (leases[$1]?.items.count ?? 0) }
            guard tasks == member.tasks else { return "\(member.name) holds \(tasks) tasks, not \(member.tasks)" }
            for id in member.held where leases[id]?.holder != member.peer {
                return "\(member.name) holds lease \(id), which is not there"
            }
        }
        return nil
    }
}
