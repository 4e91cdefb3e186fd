import Distillation
import Wire
import Wording

extension Exchange {
    /// Takes what has come, or could not be sent, and says what to do: for all of it together, so that work is handed
    /// out once, and a peer's results are acknowledged in one message.
    package mutating func receive(_ events: [TransportEvent], now: Duration) -> [Action] {
        var actions: [Action] = []
        for event in events {
            switch event {
            case .message(let message, let peer), .framed(let message, _, let peer):
                actions += handle(message, peer, now)
            case .undeliverable(let message, let peer): actions += reclaim(message, peer)
            }
        }
        // Acknowledgements go before the grants: a member does not begin again what it is still delivering.
        return acknowledgements() + actions + grantWork(now: now)
    }

    /// Takes a message and says what to do.
    package mutating func receive(_ message: Message, from peer: PeerID, now: Duration) -> [Action] {
        receive([.message(message, from: peer)], now: now)
    }

    private mutating func handle(_ message: Message, _ peer: PeerID, _ now: Duration) -> [Action] {
        if case .hello(let hello) = message { return welcome(hello, peer, now) }
        if case .statusRequest = message { return [.reportStatus(to: peer)] }
        guard let member = members[peer] else {
            if case .goodbye = message { return [] }
            return [.send(.reject(Reject(code: .unknownPeer, message: "say hello first")), to: peer)]
        }
        members.hear(peer, at: now)
        guard let senders = message.senders else {
            counters.invalid += 1
            return [note(.debug, "\(member.name) sent \(message.name), which only a learner sends")]
        }
        // Weights are for workers, and for the scorers whose teachers have them.
        let isFollowing = followedVersion(of: peer) != nil
        guard senders.contains(member.role) || (isFollowing && message.isWeightsRequest) else {
            counters.invalid += 1
            return [note(.warning, "\(member.name) sent \(message.name), which is not its role")]
        }
        switch message {
        case .heartbeat(let heartbeat): return beat(heartbeat, peer, now)
        case .leaseRequest(let request):
            if let outdated = outdated(request.epoch, peer) { return outdated }
            members.setWindow(request.count, of: peer)
            return []
        case .trajectories(let message):
            if let outdated = outdated(message.epoch, peer) { return outdated }
            return acceptTrajectories(message.results, peer, now)
        case .scores(let message):
            if let outdated = outdated(message.epoch, peer) { return outdated }
            return acceptScores(message.scores, peer, now)
        case .goodbye(let goodbye):
            let left = note(.info, "\(member.name) left: \(goodbye.reason)")
            remove(peer)
            return [left]
        case .weightsRequest(let request):
            members.noteFetch(of: min(request.version, version), by: peer)
            return [.serveWeights(request, to: peer)]
        default: return []  // No other is a member's, but for the two that strangers send too, see above.
        }
    }

    /// A message could not be sent: what was granted in it is free again.
    private mutating func reclaim(_ message: Message, _ peer: PeerID) -> [Action] {
        guard members[peer] != nil else { return [] }
        switch message {
        case .rolloutGrant(let grant):
            for group in grant.groups { release(group.leaseID) }
        case .scoreGrant(let grant):
            for task in grant.tasks { release(task.leaseID) }
        default: return []
        }
        // It may have gone; whether it has is for its silence to tell.
        members.setUnreachable(peer)
        return [note(.debug, "a grant did not reach \(name(peer))")]
    }

    /// Takes back what silent members and overdue leases hold. Call it about once a second.
    package mutating func tick(now: Duration) -> [Action] {
        forgive(now)
        var actions: [Action] = []
        let silent = members.all.filter { now - $0.lastSign > options.silence }
        for member in silent.sorted(by: { $0.name < $1.name }) {
            counters.membersLost += 1
            actions.append(
                note(
                    .warning,
                    "\(member.name) has been silent for \((now - member.lastSign).components.seconds) s: "
                        + "its \(member.held.count) leases are issued again"))
            remove(member.peer)
        }
        for (id, lease) in leases.overdue(now) {
            actions.append(
                note(
                    .warning,
                    "\(name(lease.holder)) has neither delivered nor renewed a lease for "
                        + "\(options.lease.components.seconds) s: it is issued again"))
            actions.append(.send(.revoke(Revoke(items: lease.items.sorted(by: <))), to: lease.holder))
            release(id)
            counters.reissued += 1
        }
        return actions + grantWork(now: now)
    }

    /// When this process itself was stopped for a while, others are not to blame for what it did not hear.
    private mutating func forgive(_ now: Duration) {
        let missed = now - (lastTick ?? now)
        lastTick = now
        guard missed > .seconds(5) else { return }
        members.postponeSilence(by: missed)
        leases.postpone(by: missed)
    }

    /// The run is over: tells every member, and whoever comes later.
    package mutating func finish(reason: String) -> [Action] {
        finished = reason
        return members.byName.map { .send(.shutdown(Shutdown(reason: reason)), to: $0.peer) }
    }

    // MARK: Membership

    private mutating func welcome(_ hello: Hello, _ peer: PeerID, _ now: Duration) -> [Action] {
        if let finished { return [.send(.shutdown(Shutdown(reason: finished)), to: peer)] }
        if let reject = refusal(hello) {
            remove(peer)
            return [.send(.reject(reject), to: peer), note(.warning, "\(hello.name) was refused: \(reject.message)")]
        }
        if let reject = clash(hello, peer) {
            return [.send(.reject(reject), to: peer), note(.warning, "\(peer) was refused: \(reject.message)")]
        }
        if let other = members[named: hello.name], isHeld(hello, by: other, against: peer, now: now) {
            let text = "\(hello.name) waits: a process of that name lives; give every process a name of its own"
            return [note(.info, text)]
        }
        // It may say hello again before it hears the welcome.
        let isKnown = members[peer]?.name == hello.name
        remove(peer)
        var actions: [Action] = []
        // A restarted process takes its predecessor's place at once, without waiting for its silence to be noticed.
        if let other = members[named: hello.name] {
            remove(other.peer)
            let message = "another process has joined as '\(hello.name)'; give every process a name of its own"
            actions.append(.send(.reject(Reject(code: .nameInUse, message: message)), to: other.peer))
        }
        // A peer may claim any number of teachers: those of the run are enough to remember.
        let teachers = Set(hello.teachers).intersection(known(hello.role)).sorted()
        members.add(
            Member(
                peer: peer, name: hello.name, role: hello.role, teachers: teachers,
                weightRevision: hello.weightRevision, now: now))
        if hello.role == .scorer { for teacher in teachers { noteTokens(of: teacher, hello) } }
        if let cost = hello.teacher?.forwardCost {
            for teacher in teachers where teacherCosts[teacher] == nil { teacherCosts[teacher] = cost }
        }
        if hello.role == .rollout, !hello.isReproducible { hasInexactSampler = true }
        actions.append(
            .send(
                .welcome(
                    Welcome(
                        runID: options.runID, epoch: epoch, heartbeatSeconds: options.heartbeat.seconds,
                        leaseSeconds: options.lease.seconds, version: version)), to: peer))
        if hello.role == .rollout || followedVersion(of: peer) != nil { actions.append(.announceWeights(to: peer)) }
        if isKnown { return actions }
        let what =
            (hello.role == .rollout ? "rollout worker" : "scorer")
            + (teachers.isEmpty ? "" : " of \(teachers.joined(separator: ", "))")
        actions.append(note(.info, "\(hello.name) joined (\(what), process \(hello.processID))"))
        if let difference = difference(hello) { actions.append(note(.warning, difference)) }
        if !hello.isReproducible {
            actions.append(
                note(
                    .notice,
                    "\(hello.name) does not promise the same bits twice: another run of this seed will differ from this"
                ))
        }
        return actions
    }

    private mutating func beat(_ heartbeat: Heartbeat, _ peer: PeerID, _ now: Duration) -> [Action] {
        if let outdated = outdated(heartbeat.epoch, peer) { return outdated }
        for id in heartbeat.leaseIDs { leases.renew(id, of: peer, until: now + options.lease) }
        members.setStatus(heartbeat.status, of: peer)
        var answer = HeartbeatReply(epoch: epoch, version: version)
        if heartbeat.sentAt > 0 { (answer.sentAt, answer.clock) = (heartbeat.sentAt, max(1, now.microseconds)) }
        let reply = Action.send(.heartbeatReply(answer), to: peer)
        // An announcement that was lost is made up for; one that is known already costs nothing.
        let wanted = members[peer]?.role == .rollout ? version : followedVersion(of: peer)
        let behind = wanted.map { heartbeat.status.version != $0 } ?? false
        var actions = behind ? [reply, .announceWeights(to: peer)] : [reply]
        guard let member = members[peer], let alignment = heartbeat.alignment else { return actions }
        members.setAlignment(alignment, of: peer)
        if let spans = MemberSpans(heartbeat, of: member, now: now) { actions.append(.spans(spans)) }
        return actions
    }

    /// The answer to a message of another epoch, by which its sender learns of this one.
    private mutating func outdated(_ theirs: UInt64, _ peer: PeerID) -> [Action]? {
        guard theirs != epoch else { return nil }
        counters.outdated += 1
        return [.send(.heartbeatReply(HeartbeatReply(epoch: epoch, version: version)), to: peer)]
    }

    /// Forgets a member; what it holds is free.
    mutating func remove(_ peer: PeerID) {
        guard let member = members[peer] else { return }
        counters.reissued += member.held.count
        for id in member.held.sorted() { release(id) }
        members.remove(peer)
    }

    // MARK: Leases

    /// Ends a lease; what is left of it can be granted again.
    mutating func release(_ id: UInt64) {
        guard let lease = leases.end(id) else { return }
        members.remove(lease: id, tasks: lease.items.count, from: lease.holder)
        switch lease.kind {
        case .rollouts(let key): table.release(key)
        case .score(let item): table.releaseScore(item)
        }
    }

    func name(_ peer: PeerID) -> String { members[peer]?.name ?? peer.description }

    func note(_ level: Note.Level, _ text: String) -> Action { .note(Note(level: level, text: text)) }
}

extension Message {
    fileprivate var isWeightsRequest: Bool { if case .weightsRequest = self { true } else { false } }
}
