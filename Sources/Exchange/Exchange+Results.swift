import Distillation
import Wire

extension Exchange {
    /// Takes trajectories: the first of each rollout goes into the ledger; all are acknowledged.
    mutating func acceptTrajectories(_ results: [RolloutResult], _ peer: PeerID, _ now: Duration) -> [Action] {
        var delivery = Delivery(sender: peer)
        // What comes in one message after a refusal is not looked at.
        for delivered in results where members[peer] != nil {
            let item = WorkItem(id: delivered.id, kind: delivered.kind)
            guard case .missing = table.items[item], let group = table.groups[table.key(of: item)] else {
                counters.duplicates += 1
                continue
            }
            let trajectory = Trajectory(
                delivered, to: group.prompt, plan.sampling(of: delivered.kind, from: group.prompt))
            let result = Result(
                item: item, lease: group.lease,
                content: ScoredTrajectory(
                    trajectory: trajectory, teacherLogprobs: [], sampler: group.prompt.sampler))
            if let reason = reasonInvalid(trajectory, group, peer) {
                refuse(result, reason, &delivery)
                continue
            }
            let finite = trajectory.behaviourLogprobs.areFinite
            let reason = finite ? nil : "a log-probability is not finite"
            guard shouldAccept(result, reasonWithoutNumbers: reason, &delivery) else { continue }
            // In this order: a lease that ends frees what its group still misses.
            table.accept(trajectory, item, retokenized: retokenized(trajectory, group.prompt.graders))
            removeFromLease(result, &delivery, now)
            ledger.accept(tokens: trajectory.sampledCount, kind: trajectory.kind)
        }
        return finish(delivery, of: results.lazy.map { WorkItem(id: $0.id, kind: $0.kind) })
    }

    /// Takes grades: the first of each trajectory counts; all are acknowledged.
    mutating func acceptScores(_ scores: [Score], _ peer: PeerID, _ now: Duration) -> [Action] {
        guard let member = members[peer] else { return [] }
        var delivery = Delivery(sender: peer)
        for score in scores where members[peer] != nil {
            let item = WorkItem(id: score.id, kind: score.kind)
            guard case .unscored(let grading, let lease) = table.items[item],
                !grading.isGraded(by: member.teachers)
            else {
                counters.duplicates += 1
                continue
            }
            let trajectory = grading.trajectory, teacher = grading.teacher.label
            let shown = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: grading.shown(score.logprobs))
            let result = Result(item: item, lease: lease, content: shown)
            guard member.grades(with: teacher) else {
                refuse(result, "it is for teacher '\(teacher)'", &delivery)
                continue
            }
            let count = grading.responseIDs.count
            let request = gradeRequest(item, of: teacher), isComplete = score.logprobs.count == count
            let flaw =
                isComplete
                ? score.reasonInvalid(
                    for: request, vocabularySize: options.vocabularySize, head: plan.heads[teacher]) : nil
            if let reason = flaw {
                refuse(result, reason, &delivery)
                continue
            }
            guard shouldAccept(result, reasonWithoutNumbers: reasonWithoutNumbers(score, count), &delivery) else {
                continue
            }
            removeFromLease(result, &delivery, now)
            // Grades that are not one a token are none, and what nobody asked for is nothing.
            // A scorer grades all of a response: what it says of an environment's tokens is of no use.
            var grade = isComplete ? grading.ofStudent(score.grade) : .missing(trajectory.sampledCount)
            if request.topCount == 0 { grade.top = nil }
            if request != .hidden { grade.hidden = nil }
            table.accept(grade, item)
            ledger.grade(tokens: trajectory.sampledCount)
        }
        return finish(delivery, of: scores.lazy.map { WorkItem(id: $0.id, kind: $0.kind) })
    }

    /// What comes of the results of one message, while they are looked at one after the other.
    private struct Delivery {
        let sender: PeerID
        var actions: [Action] = []
        /// Leases of results that are for others to try: they end once the whole message was looked at.
        var leasesToRelease: Set<UInt64> = []
    }

    /// A result that is wanted: nobody has delivered the item yet.
    private struct Result {
        let item: WorkItem
        /// The lease that the item is out under, with whomever; nil: none.
        let lease: UInt64?
        let content: ScoredTrajectory
    }

    /// Ends what a message was looked at for; its sender will be told that `items` have come.
    private mutating func finish(_ delivery: Delivery, of items: some Sequence<WorkItem>) -> [Action] {
        for id in delivery.leasesToRelease.sorted() { release(id) }
        unacknowledged[delivery.sender, default: []] += items
        return delivery.actions
    }

    /// Tells the senders of the results that were taken since the last call.
    mutating func acknowledgements() -> [Action] {
        guard !unacknowledged.isEmpty else { return [] }
        defer { unacknowledged.removeAll(keepingCapacity: true) }
        let limit = WireLimits.standard.items
        return unacknowledged.inOrderOfNames.flatMap { peer, items in
            stride(from: 0, to: items.count, by: limit).map { start in
                let part = Array(items[start..<min(start + limit, items.count)])
                return .send(.acknowledge(Acknowledge(items: part)), to: peer)
            }
        }
    }

    /// Takes an accepted item out of its lease; a holder that was overtaken is told.
    private mutating func removeFromLease(_ result: Result, _ delivery: inout Delivery, _ now: Duration) {
        guard let id = result.lease, let lease = leases[id] else { return }
        leases.renew(id, of: delivery.sender, until: now + options.lease)
        switch leases.remove(result.item, from: id) {
        case .nothing: break
        case .partial: members.remove(tasks: 1, from: lease.holder)
        case .ended:
            members.remove(lease: id, tasks: 1, from: lease.holder)
            if case .rollouts(let key) = lease.kind { table.release(key) }
        }
        if lease.holder != delivery.sender {
            delivery.actions.append(.send(.revoke(Revoke(items: [result.item])), to: lease.holder))
        }
    }

    // MARK: Checks

    private func reasonInvalid(_ trajectory: Trajectory, _ group: WorkTable.Group, _ peer: PeerID) -> String? {
        let count = trajectory.responseIDs.count
        let sampling = plan.sampling(of: trajectory.kind, from: group.prompt)
        let sampler = group.prompt.sampler
        if members[peer]?.samples(with: sampler) != true {
            return "it is for a worker of " + (sampler.map { "teacher '\($0)'" } ?? "the student")
        }
        if count > sampling.maxTokens { return "it has \(count) tokens, \(sampling.maxTokens) are allowed" }
        if let reason = sampling.reasonEndedEarly(trajectory) { return reason }
        // A scorer would stop at it, and the learner must not: it has no row of the embedding.
        if !trajectory.responseIDs.areTokens(vocabularySize: options.vocabularySize) {
            let id = trajectory.responseIDs.first { $0 < 0 || $0 >= options.vocabularySize } ?? -1
            return "it holds token id \(id), outside the vocabulary of \(options.vocabularySize)"
        }
        if let reason = reasonWithoutEnvironment(trajectory) ?? trajectory.tokens.flawOfGiven { return reason }
        let sampled = trajectory.sampledCount
        if trajectory.behaviourLogprobs.count != sampled || trajectory.policyVersions.count != sampled {
            return "its arrays differ in length"
        }
        for run in trajectory.policyVersions.runs where run.version < group.minimumVersion || run.version > version {
            return "it was sampled with weights \(run.version), not \(group.minimumVersion)...\(version)"
        }
        return nil
    }

    /// Why a trajectory says more than one without an environment can; nil where it does not, or the run has one.
    private func reasonWithoutEnvironment(_ trajectory: Trajectory) -> String? {
        if let reward = trajectory.reward, !(0...1).contains(reward) {
            return "its reward is \(reward), outside 0 ... 1"
        }
        guard plan.environment == nil else { return nil }
        if !trajectory.tokens.given.isEmpty { return "it has tokens of an environment, and this run has none" }
        if ![.stop, .length].contains(trajectory.finishReason) {
            return "it ended as an episode does (\(trajectory.finishReason.rawValue)), and this run has none"
        }
        return trajectory.reward == nil ? nil : "it has the reward of an environment, and this run has none"
    }

    /// - Parameter count: tokens of the response as its teacher reads it.
    private func reasonWithoutNumbers(_ score: Score, _ count: Int) -> String? {
        let grades = score.logprobs
        if grades.count != count { return "\(grades.count) grades for \(count) tokens" }
        guard score.hidden?.areFinite ?? true else { return "a hidden state is not finite" }
        return grades.areFinite && score.top?.areFinite ?? true ? nil : "a log-probability is not finite"
    }

    /// Drops a result that does not fit: its task is issued again, and its sender refused when it goes on so.
    private mutating func refuse(_ result: Result, _ reason: String, _ delivery: inout Delivery) {
        counters.invalid += 1
        let sender = delivery.sender
        if let id = result.lease, leases[id]?.holder == sender { release(id) }
        delivery.actions += [
            .suspect(result.content, reason: reason),
            note(.warning, "\(name(sender)): the result for rollout \(result.item.id) is invalid: \(reason)"),
        ]
        delivery.actions += blame(sender, reason)
    }

    /// Books an invalid result, and refuses a member that goes on so.
    private mutating func blame(_ peer: PeerID, _ reason: String) -> [Action] {
        guard let sender = members[peer]?.name else { return [] }
        guard members.bookInvalidResult(peer) == options.invalidResultLimit else { return [] }
        let message = "\(options.invalidResultLimit) invalid results in a row, the last: \(reason)"
        remove(peer)
        return [
            .send(.reject(Reject(code: .invalidRequest, message: message)), to: peer),
            note(.warning, "\(sender) was refused: \(message)"),
        ]
    }

    // MARK: Results without numbers

    /// Whether a result that fits its task is to be taken. One without numbers is tried again, by another member
    /// first: which of member and model is to blame shows when another has numbers. When nobody has, the result is
    /// taken as it is, for the step to be judged.
    /// - Parameter reasonWithoutNumbers: nil: it has numbers.
    private mutating func shouldAccept(
        _ result: Result, reasonWithoutNumbers: String?, _ delivery: inout Delivery
    ) -> Bool {
        let item = result.item, sender = delivery.sender
        guard let reason = reasonWithoutNumbers else {
            members.bookValidResult(sender)
            let others = Set(attemptsWithoutNumbers.removeValue(forKey: item) ?? []).subtracting([sender])
            for other in others.sorted(by: { $0.description < $1.description }) {
                delivery.actions += blame(
                    other, "no numbers for rollout \(item.id), for which \(name(sender)) has some")
            }
            return true
        }
        counters.invalid += 1
        if attemptsWithoutNumbers[item] == nil { delivery.actions.append(.suspect(result.content, reason: reason)) }
        // The first time a member does it is news.
        let level: Note.Level = members.bookNoNumbers(sender) ? .warning : .debug
        delivery.actions.append(
            note(level, "\(name(sender)): the result for rollout \(item.id) has no numbers: \(reason)"))
        guard let id = result.lease, leases[id]?.holder == sender else { return false }
        attemptsWithoutNumbers[item, default: []].append(sender)
        guard attemptsWithoutNumbers[item, default: []].count < options.attemptLimit else {
            attemptsWithoutNumbers[item] = nil
            return true
        }
        delivery.leasesToRelease.insert(id)
        return false
    }
}

extension Score {
    /// Why what comes with the grades is not what was asked for; nil where it is.
    fileprivate func reasonInvalid(
        for request: GradeRequest, vocabularySize: Int32, head: SharedHead?
    ) -> String? {
        if request == .hidden, let head {
            guard let hidden else {
                return logprobs.isEmpty ? nil : "it has no hidden states, which were asked for"
            }
            return hidden.flaw(positions: logprobs.count, of: head)
        }
        guard request.topCount > 0 else { return nil }
        guard let top else { return "it lists no tokens, \(request.topCount) were asked for" }
        return top.flaw(positions: logprobs.count, count: request.topCount, vocabularySize: vocabularySize)
    }
}

extension Trajectory {
    /// A response together with what it answers.
    fileprivate init(_ result: RolloutResult, to prompt: Prompt, _ sampling: SamplingSettings) {
        self.init(
            id: result.id, kind: result.kind, teacher: prompt.teacher, promptIDs: prompt.ids,
            responseIDs: result.responseIDs, behaviourLogprobs: result.behaviourLogprobs,
            policyVersions: result.policyVersions, finishReason: result.finishReason,
            temperature: sampling.temperature)
        tokens.given = result.given
        reward = result.reward
    }
}

extension SamplingSettings {
    /// Why a trajectory is none with so many first tokens that end nothing; nil where it may be one.
    fileprivate func reasonEndedEarly(_ trajectory: Trajectory) -> String? {
        guard minTokens > 0 else { return nil }
        if trajectory.finishReason == .stop, trajectory.responseIDs.count <= minTokens {
            return "it ends with token \(trajectory.responseIDs.count), and the first \(minTokens) end nothing"
        }
        return trajectory.responseIDs.prefix(minTokens).contains(where: stopTokenIDs.contains)
            ? "there is a stop token among its first \(minTokens), which end nothing" : nil
    }
}
