import Distillation
import Exchange
import Randomness
import Wire

/// A seeded source of everything that happens in a simulation.
struct Dice {
    private let random: CounterRandom
    private var rolls: UInt64 = 0

    init(seed: UInt64) { random = CounterRandom(key: 0x64696365, seed) }

    mutating func integer(_ range: Range<Int>) -> Int {
        rolls += 1
        return range.lowerBound + Int(random.integer(below: UInt64(range.count), rolls))
    }

    mutating func happens(_ probability: Double) -> Bool { Double(integer(0..<1_000_000)) < probability * 1_000_000 }

    mutating func seconds(_ range: Range<Int>) -> Duration {
        .milliseconds(integer(range.lowerBound * 1000..<range.upperBound * 1000))
    }
}

/// What may go wrong, as probabilities a step of 0.25 s.
struct Faults {
    var memberCrash = 0.0
    var memberPause = 0.0
    var memberLeaves = 0.0
    var memberJoins = 0.0
    var cut = 0.0
    var learnerCrash = 0.0
    /// A share of results, not of steps.
    var corruptResult = 0.0

    static let none = Faults()
    static let many = Faults(
        memberCrash: 0.01, memberPause: 0.01, memberLeaves: 0.004, memberJoins: 0.01, cut: 0.02, learnerCrash: 0.005,
        corruptResult: 0.08)
}

/// A learner and its members in simulated time, over links that lose what is on the way when they are cut.
struct Simulation {
    enum Body {
        case rollout(MemberSession<RolloutTask>, queue: [RolloutTask], version: UInt64?)
        case scorer(MemberSession<ScoreTask>, queue: [ScoreTask], version: UInt64?)

        /// The leases of the tasks that it holds, one a task, and the window it asked for.
        var load: (leases: [UInt64], window: Int) {
            switch self {
            case .rollout(let session, _, _): (Array(session.held.values), session.window)
            case .scorer(let session, _, _): (Array(session.held.values), session.window)
            }
        }
    }

    struct SimulatedMember {
        var body: Body
        var pausedUntil: Duration = .zero
        var busyUntil: Duration = .zero
        var inbox: [(at: Duration, Message)] = []
        var ended = false
    }

    let plan: RunPlan
    /// Completed steps after which the batch is found to be bad and is given up.
    var skips: Set<UInt64> = []
    var options = ExchangeOptions(runID: "simulated", lease: .seconds(30), heartbeat: .seconds(1))
    var dice: Dice
    var now: Duration = .zero
    var exchange: Exchange
    var members: [PeerID: SimulatedMember] = [:]
    var learnerInbox: [(at: Duration, Message, PeerID)] = []
    /// Results that come once more, long after.
    private var late: [(at: Duration, Message, PeerID)] = []
    /// Members that nothing happens to.
    var immortal: Set<PeerID> = []
    var learnerDownUntil: Duration?
    var trainingUntil: Duration?
    var checkpoint: (version: UInt64, counts: TokenCounts) = (0, TokenCounts())
    var boundary = TokenCounts()
    var started: UInt64 = 0
    var learnerCrashes = 0
    var crashes = 0
    /// Batches by step, as the lineage that survives trained them.
    var trained: [[ScoredTrajectory]] = []
    var evaluations: [UInt64: [ScoredTrajectory]] = [:]
    var problems: [String] = []
    private var lastVersion: UInt64 = 0
    private var lastEpoch: UInt64 = 0

    init(plan: RunPlan, seed: UInt64) {
        self.plan = plan
        dice = Dice(seed: seed)
        // What is corrupted here is so by chance: it must not be taken for a model without numbers.
        options.attemptLimit = 20
        exchange = Exchange(plan: plan, options: options, epoch: 1)
        if plan.evaluates(version: 0) { exchange.beginEvaluation() }
    }

    var done: Bool { exchange.version == plan.steps && exchange.evaluationProgress.total == 0 }

    func check(_ condition: Bool, _ what: @autoclosure () -> String, _ problems: inout [String]) {
        if !condition { problems.append("\(now): \(what())") }
    }

    // MARK: Time

    mutating func step(_ faults: Faults) {
        now += .milliseconds(250)
        strike(faults)
        if let until = learnerDownUntil, now >= until { restartLearner() }
        for peer in members.keys.sorted(by: { $0.description < $1.description }) { run(peer, faults) }
        guard learnerDownUntil == nil else { return }
        let arrived = learnerInbox.filter { $0.at <= now }
        learnerInbox.removeAll { $0.at <= now }
        // What comes while the learner is busy is taken together.
        let together = dice.happens(0.5)
        if together {
            perform(exchange.receive(arrived.map { .message($0.1, from: $0.2) }, now: now))
            audit()
        }
        for (_, message, peer) in arrived {
            if !together { perform(exchange.receive(message, from: peer, now: now)) }
            // A sender that was not acknowledged in time sends again.
            if dice.happens(0.02) { perform(exchange.receive(message, from: peer, now: now)) }
            if message.isResult, dice.happens(0.02) { late.append((now + dice.seconds(1..<60), message, peer)) }
            audit()
        }
        for (_, message, peer) in late.filter({ $0.at <= now }) {
            perform(exchange.receive(message, from: peer, now: now))
            audit()
        }
        late.removeAll { $0.at <= now }
        perform(exchange.tick(now: now))
        audit()
        learn()
    }

    mutating func audit() {
        if let problem = exchange.audit() { problems.append("\(now): \(problem)") }
        let capacity = plan.promptsPerStep * Int(plan.maxStaleness + 1)
        check(exchange.openGroupCount <= capacity, "\(exchange.openGroupCount) groups are open", &problems)
        check(
            exchange.version >= lastVersion || exchange.epoch > lastEpoch, "version \(exchange.version) is a step back",
            &problems)
        (lastVersion, lastEpoch) = (exchange.version, exchange.epoch)
        let out = Set(exchange.leaseIDs)
        for (peer, member) in members {
            // The samples of a group come together, so the last one granted may exceed the window.
            // What is left of a lease that ended, another's result having had no numbers, is done for nothing.
            let (leases, window) = member.body.load
            let held = leases.count { out.contains($0) }
            check(held < window + plan.samplesPerPrompt, "\(peer) holds \(held) tasks of \(window)", &problems)
        }
    }

    // MARK: Learner

    mutating func learn() {
        if exchange.evaluationProgress.total > 0 {
            guard let evaluated = exchange.completeEvaluation() else { return }
            check(
                evaluated.allSatisfy { $0.trajectory.policyVersions.allSatisfy { $0 == exchange.version } },
                "an evaluation mixes versions", &problems)
            evaluations[exchange.version] = evaluated
        }
        guard let batch = exchange.batch() else { return }
        guard let until = trainingUntil else {
            trainingUntil = now + dice.seconds(0..<3)
            return
        }
        guard now >= until else { return }
        trainingUntil = nil
        verify(batch)
        trained.append(batch)
        if skips.contains(exchange.version) { exchange.skipStep() } else { exchange.completeStep() }
        boundary = exchange.ledger.counts
        audit()
        if exchange.version % 3 == 0 { checkpoint = (exchange.version, boundary) }
        for peer in exchange.peers(.rollout) + exchange.followers() { perform([.announceWeights(to: peer)]) }
        if plan.evaluates(version: exchange.version) { exchange.beginEvaluation() }
        perform(exchange.grantWork(now: now))
    }

    mutating func verify(_ batch: [ScoredTrajectory]) {
        let version = exchange.version
        check(UInt64(trained.count) == version, "step \(version) is trained after \(trained.count)", &problems)
        let first = version * UInt64(plan.promptsPerStep)
        let expected = (0..<UInt64(plan.promptsPerStep)).flatMap { group in
            (0..<UInt32(plan.samplesPerPrompt)).map { RolloutID(group: first + group, sample: $0) }
        }
        check(batch.map(\.trajectory.id) == expected, "batch \(version) holds other rollouts", &problems)
        for scored in batch {
            check(
                scored.teacherLogprobs == expectedGrades(scored.trajectory, version),
                "\(scored.trajectory.id) was graded by others", &problems)
            for used in scored.trajectory.policyVersions {
                check(used <= version && version - used <= plan.maxStaleness, "\(version - used) stale", &problems)
            }
        }
    }

    /// What the teachers of a trajectory say of it together in the step after `version`.
    private func expectedGrades(_ trajectory: Trajectory, _ version: UInt64) -> [Float] {
        let prompt = plan.prompts.first { $0.ids == trajectory.promptIDs }
        return trajectory.responseIDs.map { id in
            (prompt?.graders ?? []).reduce(0) { sum, teacher in
                let used = plan.weightsVersion(of: teacher.label, at: version)
                return sum + Float(teacher.share) * Self.grade(id, by: teacher.label, version: used)
            }
        }
    }

    mutating func restartLearner() {
        learnerDownUntil = nil
        trainingUntil = nil
        learnerInbox = []
        exchange = Exchange(
            plan: plan, options: options, epoch: exchange.epoch + 1, version: checkpoint.version,
            counts: checkpoint.counts)
        trained.removeLast(trained.count - Int(checkpoint.version))
        evaluations = evaluations.filter { $0.key < checkpoint.version }
        if plan.evaluates(version: checkpoint.version) { exchange.beginEvaluation() }
    }

    mutating func perform(_ actions: [Exchange.Action]) {
        for action in actions {
            switch action {
            case .send(let message, let peer): post(message, to: peer)
            case .announceWeights(let peer):
                let announce = WeightsAnnounce(
                    version: exchange.followedVersion(of: peer) ?? exchange.version,
                    manifest: WeightManifest(matrixType: .f32, byteCount: 4),
                    chunkByteCount: 4, chunkCount: 1, checksum: 0, sharedMemoryPath: nil, hostID: "")
                post(.weightsAnnounce(announce), to: peer)
            case .serveWeights, .note, .suspect, .reportStatus, .spans: break
            }
        }
    }

    mutating func post(_ message: Message, to peer: PeerID) {
        guard let member = members[peer], !member.ended else {
            perform(exchange.receive([.undeliverable(message, to: peer)], now: now))
            return
        }
        let at = max(member.inbox.last?.at ?? .zero, now + .milliseconds(dice.integer(0..<600)))
        members[peer]?.inbox.append((at, message))
    }
}

extension Message {
    fileprivate var isResult: Bool {
        switch self {
        case .trajectories, .scores: true
        default: false
        }
    }
}
