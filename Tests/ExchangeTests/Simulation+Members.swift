import Distillation
import Exchange
import Randomness
import Wire

/// Members, and what happens to them.
extension Simulation {
    /// - Parameter teachers: that a scorer holds; nil: all of the run or, where some grade together, one of them.
    mutating func add(_ role: Role, name: String? = nil, teachers: [String]? = nil) {
        started += 1
        let name = name ?? "\(role.rawValue)-\(started)"
        var hello = Hello(
            role: role, name: name, tokenizerFingerprint: nil,
            teachers: role == .scorer ? teachers ?? ownTeachers : [], processID: started)
        hello.followsWeights = role == .scorer && !plan.refreshes.isEmpty
        let window = dice.integer(1..<5)
        let body: Body =
            role == .rollout
            ? .rollout(
                MemberSession(hello: hello, window: window, patience: .seconds(60), now: now), queue: [], version: nil)
            : .scorer(
                MemberSession(hello: hello, window: window, patience: .seconds(60), now: now), queue: [], version: nil)
        members[PeerID("\(name)-\(started)")] = SimulatedMember(body: body)
    }

    private var ownTeachers: [String] {
        let all = plan.teachers.sorted()
        return plan.asksTogether(all) ? [all[Int(started / 2) % all.count]] : all
    }

    mutating func strike(_ faults: Faults) {
        let peers = members.keys.sorted { $0.description < $1.description }
        for peer in peers where !immortal.contains(peer) {
            if members[peer]?.ended == true || dice.happens(faults.memberCrash) {
                // A supervisor starts it again under its name.
                crashes += 1
                let (role, name) = identity(peer), teachers = teachers(of: peer)
                members[peer] = nil
                learnerInbox.removeAll { $0.2 == peer && dice.happens(0.5) }
                // What is left of its words may come when its work has long been somebody else's.
                let lateness = dice.happens(0.3) ? dice.seconds(1..<60) : .zero
                for index in learnerInbox.indices where learnerInbox[index].2 == peer {
                    learnerInbox[index].at += lateness
                }
                add(role, name: name, teachers: teachers)
            } else if dice.happens(faults.memberPause) {
                members[peer]?.pausedUntil = now + dice.seconds(1..<40)
            } else if dice.happens(faults.cut) {
                let lost = members[peer]?.inbox ?? []
                members[peer]?.inbox = []
                learnerInbox.removeAll { $0.2 == peer }
                for (_, message) in lost where dice.happens(0.5) && learnerDownUntil == nil {
                    perform(exchange.receive([.undeliverable(message, to: peer)], now: now))
                }
            } else if dice.happens(faults.memberLeaves), members.count > 2 {
                if learnerDownUntil == nil {
                    learnerInbox.append((now + .seconds(1), .goodbye(Goodbye(reason: "asked to")), peer))
                }
                members[peer] = nil
            }
        }
        if dice.happens(faults.memberJoins), members.count < 8 { add(dice.happens(0.5) ? .rollout : .scorer) }
        if learnerDownUntil == nil, dice.happens(faults.learnerCrash) {
            learnerCrashes += 1
            learnerDownUntil = now + dice.seconds(1..<20)
            learnerInbox = []
        }
    }

    /// Nothing goes wrong from here on, and there is one of each role at least.
    mutating func calm() {
        learnerDownUntil = learnerDownUntil.map { min($0, now) }
        for role in Role.allCases where !members.keys.contains(where: { identity($0).0 == role }) { add(role) }
        for teacher in plan.teachers.sorted()
        where !members.keys.contains(where: { teachers(of: $0).contains(teacher) }) {
            add(.scorer, teachers: plan.asksTogether(plan.teachers.sorted()) ? [teacher] : nil)
        }
        for peer in members.keys { members[peer]?.pausedUntil = now }
    }

    private func teachers(of peer: PeerID) -> [String] {
        if case .scorer(let session, _, _) = members[peer]?.body { session.hello.teachers } else { [] }
    }

    func identity(_ peer: PeerID) -> (Role, String) {
        switch members[peer]?.body {
        case .rollout(let session, _, _): (.rollout, session.hello.name)
        case .scorer(let session, _, _): (.scorer, session.hello.name)
        case nil: (.rollout, "")
        }
    }

    mutating func run(_ peer: PeerID, _ faults: Faults) {
        guard let member = members[peer], !member.ended, now >= member.pausedUntil else { return }
        let arrived = member.inbox.filter { $0.at <= now }.map(\.1)
        members[peer]?.inbox.removeAll { $0.at <= now }
        switch member.body {
        case .rollout(var session, var queue, var version):
            var actions = arrived.flatMap { session.receive($0, now: now) }
            for message in arrived {
                if case .weightsAnnounce(let announce) = message, session.joined { version = announce.version }
            }
            if actions.contains(where: { if case .forgetWeights = $0 { true } else { false } }) { version = nil }
            Self.apply(actions, &queue)
            let doable = version.flatMap { version in queue.firstIndex { $0.minimumVersion <= version } }
            if now >= member.busyUntil, let index = doable, let version {
                let task = queue.remove(at: index)
                members[peer]?.busyUntil = now + .milliseconds(dice.integer(0..<1500))
                actions += session.complete([corrupted(sample(task, version), faults)], now: now)
            }
            actions += session.tick(
                now: now, status: MemberStatus(state: "sampling", version: version ?? MemberStatus.noVersion))
            members[peer]?.body = .rollout(session, queue: queue, version: version)
            post(from: peer, actions)
        case .scorer(var session, var queue, var version):
            var actions = arrived.flatMap { session.receive($0, now: now) }
            for message in arrived {
                if case .weightsAnnounce(let announce) = message, session.joined { version = announce.version }
            }
            if actions.contains(where: { if case .forgetWeights = $0 { true } else { false } }) { version = nil }
            Self.apply(actions, &queue)
            let doable = queue.firstIndex { $0.weightsVersion == nil || $0.weightsVersion == version }
            if now >= member.busyUntil, let index = doable {
                let task = queue.remove(at: index)
                members[peer]?.busyUntil = now + .milliseconds(dice.integer(0..<500))
                let count = task.ids.count - task.promptCount - (dice.happens(faults.corruptResult) ? 1 : 0)
                let grades = task.responseIDs.prefix(count).map {
                    Self.grade($0, by: task.teacher, version: task.weightsVersion)
                }
                actions += session.complete([Score(id: task.id, kind: task.kind, logprobs: grades)], now: now)
            }
            let used = session.hello.followsWeights ? version ?? MemberStatus.noVersion : 0
            actions += session.tick(now: now, status: MemberStatus(state: "grading", version: used))
            members[peer]?.body = .scorer(session, queue: queue, version: version)
            post(from: peer, actions)
        }
    }

    /// A teacher's grade of a token, another one for every version of its weights.
    static func grade(_ id: Int32, by teacher: String, version: UInt64?) -> Float {
        -Float(id % 7) - Float(version ?? 0) - (teacher == "other" ? 0.5 : 0)
    }

    private static func apply<Work: LeasedWork>(_ actions: [MemberSession<Work>.Action], _ queue: inout [Work]) {
        for action in actions {
            switch action {
            case .start(let tasks): queue += tasks
            case .cancel(let items): queue.removeAll { items.contains($0.item) }
            default: break
            }
        }
    }

    private mutating func post<Work: LeasedWork>(from peer: PeerID, _ actions: [MemberSession<Work>.Action]) {
        for action in actions {
            if case .send(let message) = action, learnerDownUntil == nil {
                let last = learnerInbox.last { $0.2 == peer }?.at ?? .zero
                learnerInbox.append((max(last, now + .milliseconds(dice.integer(0..<600))), message, peer))
            }
            if case .end = action { members[peer]?.ended = true }
        }
    }

    /// A response that is a function of seed, sample and weights, as the real engine's is.
    func sample(_ task: RolloutTask, _ version: UInt64) -> Trajectory {
        let random = CounterRandom(key: task.seed, UInt64(task.id.sample), version)
        let count = 1 + Int(random.integer(below: UInt64(task.sampling.maxTokens), 0))
        let ids = (0..<count).map { Int32(random.integer(below: 1000, UInt64($0 + 1))) }
        return Trajectory(
            id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: ids,
            behaviourLogprobs: ids.map { -Float($0 % 5) },
            policyVersions: PolicyVersions(repeating: version, count: ids.count),
            finishReason: count == task.sampling.maxTokens ? .length : .stop,
            temperature: task.sampling.temperature)
    }

    private mutating func corrupted(_ trajectory: Trajectory, _ faults: Faults) -> Trajectory {
        guard dice.happens(faults.corruptResult) else { return trajectory }
        var trajectory = trajectory
        switch dice.integer(0..<4) {
        case 0: trajectory.responseIDs.append(9)
        case 1: trajectory.behaviourLogprobs[0] = .nan
        case 2: trajectory.policyVersions = PolicyVersions(trajectory.policyVersions.map { $0 + 1000 })
        default: trajectory.behaviourLogprobs.append(0)
        }
        return trajectory
    }
}
