import Distillation
import Tokens
import Wire

extension Exchange {
    /// Grants what is pending to members that want work, the emptiest-handed first.
    package mutating func grantWork(now: Duration) -> [Action] {
        guard finished == nil else { return [] }
        return grantRollouts(now) + grantScores(now)
    }

    private mutating func grantRollouts(_ now: Duration) -> [Action] {
        var grants: [PeerID: [RolloutGroup]] = [:]
        while let (key, peer) = nextRollouts() {
            let items = table.missing(key)
            let id = lease(items, .rollouts(key), to: peer, now)
            table.lease(key, id)
            guard let group = table.groups[key] else { continue }
            let sampling = plan.sampling(of: key.kind, from: group.prompt)
            let promptIDs = group.prompt.sampler == nil ? group.prompt.ids : group.prompt.idsForTeacher
            var granted = RolloutGroup(
                leaseID: id, kind: key.kind, group: key.group, samples: items.map(\.id.sample),
                promptIDs: promptIDs, sampling: sampling, seed: group.seed, minimumVersion: group.minimumVersion)
            granted.episode = group.prompt.episode
            grants[peer, default: []].append(granted)
        }
        return grants.inOrderOfNames.map { .send(.rolloutGrant(RolloutGrant(groups: $0.value)), to: $0.peer) }
    }

    /// The first prompt for which some rollout worker has room.
    private mutating func nextRollouts() -> (WorkTable.GroupKey, PeerID)? {
        var busy: Set<String?> = []
        for key in table.pendingGroups.elements {
            let sampler = table.groups[key]?.prompt.sampler
            guard !busy.contains(sampler) else { continue }
            let tried =
                attemptsWithoutNumbers.isEmpty
                ? [] : Set(table.missing(key).flatMap { attemptsWithoutNumbers[$0] ?? [] })
            if let peer = neediest(Lane(.rollout, sampler), except: tried) { return (key, peer) }
            // Without teachers that sample every group waits for the same workers.
            guard sampler != nil else { return nil }
            busy.insert(sampler)
        }
        return nil
    }

    private mutating func grantScores(_ now: Duration) -> [Action] {
        var grants: [PeerID: [ScoreTask]] = [:]
        var actions: [Action] = []
        while let (item, peer) = nextScore() {
            guard case .unscored(let waiting, _) = table.items[item] else { break }
            let trajectory = waiting.trajectory, teacher = waiting.teacher.label
            // A teacher may be shown another prompt than the student; what it grades is the response all the same.
            let promptIDs = waiting.teacher.view?.ids ?? trajectory.promptIDs
            let grading = fitted(waiting, item, after: promptIDs.count), responseIDs = grading.responseIDs
            guard !responseIDs.isEmpty else {
                // Nothing in it is text for this teacher, or there is no room.
                table.accept(grading.ofStudent(Grade(logprobs: [])), item)
                continue
            }
            if let reason = gradableTokens[teacher]?.reasonUngradable(
                responseIDs, teacher: teacher, isRetokenized: grading.isRetokenized)
            {
                // A grade of another token would be a wrong one: it has none, and the step is judged.
                let grade = Grade.missing(trajectory.sampledCount)
                table.accept(grade, item)
                actions += [
                    .suspect(ScoredTrajectory(trajectory: trajectory, teacherLogprobs: grade.logprobs), reason: reason),
                    note(.warning, "rollout \(item.id) has no grades: \(reason)"),
                ]
                continue
            }
            let id = lease([item], .score(item), to: peer, now)
            table.leaseScore(item, id)
            var task = ScoreTask(
                id: item.id, kind: item.kind, teacher: teacher,
                tokens: TokenSequence(promptIDs: promptIDs, responseIDs: responseIDs), leaseID: id,
                request: gradeRequest(item, of: teacher))
            task.weightsVersion = weightsVersion(of: teacher, for: item)
            grants[peer, default: []].append(task)
        }
        return actions + grants.inOrderOfNames.map { .send(.scoreGrant(ScoreGrant(tasks: $0.value)), to: $0.peer) }
    }

    /// A response in a teacher's own tokens may have more of them than the student's: as much as it has room for.
    private mutating func fitted(_ grading: Grading, _ item: WorkItem, after promptCount: Int) -> Grading {
        let room = (gradableTokens[grading.teacher.label]?.contextLength ?? .max) - promptCount
        guard grading.isRetokenized, grading.responseIDs.count > room else { return grading }
        var fitted = grading
        fitted.fit(in: room)
        table.replace(fitted, item)
        return fitted
    }

    /// What is asked for at every token: only what is trained on needs more than the sampled one.
    func gradeRequest(_ item: WorkItem, of teacher: String?) -> GradeRequest {
        guard item.kind == .train else { return .sampled }
        if let teacher, plan.heads[teacher] != nil { return .hidden }
        return plan.topTokens > 0 ? .top(plan.topTokens, below: options.vocabularySize) : .sampled
    }

    /// The first trajectory for which some scorer has room.
    private mutating func nextScore() -> (WorkItem, PeerID)? {
        let waiting = table.pendingScores.compactMap { teacher, queue in queue.first.map { (teacher, $0) } }
        for (teacher, key) in waiting.sorted(by: { $0.1 < $1.1 }) where isGradable(key.item, by: teacher) {
            let tried = Set(attemptsWithoutNumbers[key.item] ?? [])
            if let peer = neediest(Lane(.scorer, teacher), except: tried) { return (key.item, peer) }
        }
        return nil
    }

    /// Returns the member with room that holds least, and among equals the one whose last grant is oldest.
    /// - Parameter tried: who has had no numbers for this work, and gets it again only when nobody else has room.
    private mutating func neediest(_ lane: Lane, except tried: Set<PeerID>) -> PeerID? {
        guard !tried.isEmpty else { return members.neediest(lane) }
        let able = members.all.filter { $0.hasRoom && $0.lanes.contains(lane) }
        let others = able.filter { !tried.contains($0.peer) }
        return (others.isEmpty ? able : others).map(Candidate.init).min()?.peer
    }

    private mutating func lease(
        _ items: [WorkItem], _ kind: LeaseKind, to peer: PeerID, _ now: Duration
    ) -> UInt64 {
        counters.grants += 1
        let id = leases.add(kind, Set(items), to: peer, until: now + options.lease)
        members.add(lease: id, tasks: items.count, to: peer)
        return id
    }
}
