import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// Single decisions of the exchange, each in a few messages.
@Suite struct ExchangeTests {
    static let worker = PeerID("worker")
    static let scorer = PeerID("scorer")

    func exchange(_ plan: RunPlan = plan(heldout: 0), version: UInt64 = 0) -> Exchange {
        Exchange(
            plan: plan, options: ExchangeOptions(runID: "r", tokenizerFingerprint: "t"), epoch: 9, version: version)
    }

    func hello(
        _ name: String, _ role: Role, arithmetic: String? = nil, tokenizer: String = "t",
        version: UInt32 = Codec.version, teachers: [String]? = nil, teacher: TeacherDescription? = nil,
        isReproducible: Bool = true, revision: UInt32 = 0, addedTokens: [String] = []
    ) -> Message {
        .hello(
            Hello(
                role: role, name: name, protocolVersion: version, arithmetic: arithmetic,
                tokenizerFingerprint: tokenizer, teachers: teachers ?? (role == .scorer ? ["default"] : []),
                processID: 1, teacher: teacher, isReproducible: isReproducible, samplingRevision: revision,
                addedTokens: addedTokens))
    }

    func join(
        _ exchange: inout Exchange, _ peer: PeerID, _ role: Role, window: Int, teachers: [String]? = nil
    ) -> [RolloutTask] {
        _ = exchange.receive(hello(peer.description, role, teachers: teachers), from: peer, now: .zero)
        let actions = exchange.receive(
            .leaseRequest(LeaseRequest(count: window, epoch: 9)), from: peer, now: .zero)
        return rollouts(actions, peer)
    }

    func rollouts(_ actions: [Exchange.Action], _ peer: PeerID) -> [RolloutTask] {
        actions.flatMap { action -> [RolloutTask] in
            guard case .send(.rolloutGrant(let grant), let to) = action, to == peer else { return [] }
            return grant.groups.flatMap(\.tasks)
        }
    }

    func sent(_ actions: [Exchange.Action]) -> [Message] {
        actions.compactMap { if case .send(let message, _) = $0 { message } else { nil } }
    }

    func response(
        _ task: RolloutTask, tokens: Int = 3, version: UInt64 = 0, finish: FinishReason = .stop
    ) -> Trajectory {
        let ids = (0..<tokens).map { Int32($0) }
        return Trajectory(
            id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: ids,
            behaviourLogprobs: ids.map { _ in -1 }, policyVersions: PolicyVersions(repeating: version, count: tokens),
            finishReason: finish,
            temperature: task.sampling.temperature)
    }

    @Test func aGroupIsGrantedWholeAndOnce() {
        var exchange = exchange()
        let first = join(&exchange, Self.worker, .rollout, window: 2)
        #expect(first.map(\.id) == [RolloutID(group: 0, sample: 0), RolloutID(group: 0, sample: 1)])
        #expect(Set(first.map(\.leaseID)).count == 1 && Set(first.map(\.seed)).count == 1)
        let second = join(&exchange, PeerID("other"), .rollout, window: 100)
        #expect(Set(second.map(\.id.group)) == [1, 2])
        #expect(join(&exchange, PeerID("third"), .rollout, window: 1) == [])
    }

    @Test func stalenessBoundsWhatIsIssued() {
        for staleness in [0, 1, 4] as [UInt64] {
            var exchange = exchange(plan(steps: 3, maxStaleness: staleness, heldout: 0))
            let tasks = join(&exchange, Self.worker, .rollout, window: 1000)
            #expect(UInt64(Set(tasks.map(\.id.group)).count) == 3 * min(staleness + 1, 3))
            #expect(tasks.allSatisfy { $0.minimumVersion == 0 })
        }
    }

    /// Prompts of two teachers, which sample themselves, at most two steps ahead.
    static let imitation = {
        var plan = TestSupport.plan(steps: 9, heldout: 0, teachers: [nil])
        for index in plan.prompts.indices { plan.prompts[index].sampler = ["a", "b"][index % 2] }
        plan.stepsAhead = 2
        return plan
    }()

    @Test func teachersSampleTheirOwnPromptsAheadOfTheLearner() {
        var exchange = exchange(Self.imitation, version: 4)
        let a = join(&exchange, PeerID("a"), .rollout, window: 1000, teachers: ["a"])
        let audited = exchange.audit()
        let b = join(&exchange, PeerID("b"), .rollout, window: 1000, teachers: ["b"])
        // Steps 4, 5 and 6, of three prompts each; what nobody there can sample does not hold the others up.
        #expect(Set((a + b).map(\.id.group)) == Set(12..<21))
        #expect(Set(a.map(\.id.group)).isDisjoint(with: b.map(\.id.group)) && !a.isEmpty && !b.isEmpty)
        for (tasks, sampler) in [(a, "a"), (b, "b")] {
            let own = Self.imitation.prompts.filter { $0.sampler == sampler }.map(\.ids)
            #expect(tasks.allSatisfy { own.contains($0.promptIDs) && $0.minimumVersion == 0 })
        }
        #expect(audited == nil && exchange.audit() == nil)
    }

    @Test func whatIsSampledAheadCountsWithItsStep() {
        var exchange = exchange(Self.imitation)
        var tasks = join(&exchange, PeerID("a"), .rollout, window: 1000, teachers: ["a"])
        tasks += join(&exchange, PeerID("b"), .rollout, window: 1000, teachers: ["b"])
        for task in tasks {
            let name = Self.imitation.prompts.first { $0.ids == task.promptIDs }?.sampler ?? ""
            let message = Message.trajectories(Trajectories(trajectories: [response(task)], epoch: 9))
            _ = exchange.receive(message, from: PeerID(name), now: .zero)
        }
        // Nobody grades: the batch is complete, and knows who sampled it.
        #expect(Set(exchange.batch()?.map(\.sampler) ?? []) == ["a", "b"])
        exchange.completeStep()
        // 3 steps of 6 rollouts of 3 tokens.
        #expect(exchange.ledger.counts == TokenCounts(generated: 54, trained: 18, inFlight: 36))
        #expect(Self.imitation.boundary(exchange.ledger.counts) == TokenCounts(generated: 18, trained: 18))
        #expect(TestSupport.plan().boundary(exchange.ledger.counts) == exchange.ledger.counts)
        #expect(exchange.audit() == nil)
    }

    @Test func theFirstResultWinsAndEveryOneIsAcknowledged() {
        var exchange = exchange()
        let tasks = join(&exchange, Self.worker, .rollout, window: 2)
        let message = Message.trajectories(Trajectories(trajectories: [response(tasks[0])], epoch: 9))
        for round in 0..<3 {
            let actions = exchange.receive(message, from: Self.worker, now: .zero)
            #expect(
                sent(actions).first == .acknowledge(Acknowledge(items: [WorkItem(id: tasks[0].id, kind: .train)])))
            #expect(exchange.ledger.counts == TokenCounts(generated: 3, inFlight: 3))
            #expect(exchange.counters.duplicates == round)
        }
    }

    /// What comes together is answered together: a peer's results in one message, before the work that follows.
    @Test func aBurstIsAnsweredOnce() {
        var exchange = exchange(plan(prompts: 4, samples: 1, heldout: 0))
        let other = PeerID("other")
        let mine = join(&exchange, Self.worker, .rollout, window: 2)
        let theirs = join(&exchange, other, .rollout, window: 1)
        func delivery(_ task: RolloutTask, _ peer: PeerID) -> TransportEvent {
            .message(.trajectories(Trajectories(trajectories: [response(task)], epoch: 9)), from: peer)
        }
        let actions = exchange.receive(
            [delivery(mine[0], Self.worker), delivery(theirs[0], other), delivery(mine[1], Self.worker)], now: .zero)
        func items(_ tasks: [RolloutTask]) -> Message {
            .acknowledge(Acknowledge(items: tasks.map { WorkItem(id: $0.id, kind: $0.kind) }))
        }
        #expect(
            Array(actions.prefix(2)) == [.send(items(theirs), to: other), .send(items(mine), to: Self.worker)])
        let granted = rollouts(Array(actions.dropFirst(2)), Self.worker) + rollouts(Array(actions.dropFirst(2)), other)
        #expect(granted.map(\.id.group) == [3])
        #expect(exchange.ledger.counts.generated == 9 && exchange.audit() == nil)
    }

    /// A message holds a bounded number of items, and bursts may bring more.
    @Test func manyAcknowledgementsTakeSeveralMessages() throws {
        var exchange = exchange()
        let task = join(&exchange, Self.worker, .rollout, window: 2)[0]
        let limit = WireLimits.standard.items
        let full = Trajectories(trajectories: Array(repeating: response(task), count: limit), epoch: 9)
        let actions = exchange.receive(
            [.message(.trajectories(full), from: Self.worker), .message(.trajectories(full), from: Self.worker)],
            now: .zero)
        let counts = try sent(actions).compactMap { message -> Int? in
            guard case .acknowledge(let acknowledge) = message else { return nil }
            _ = try Codec.encode(message)
            return acknowledge.items.count
        }
        #expect(counts == [limit, limit])
        #expect(exchange.counters.duplicates == 2 * limit - 1 && exchange.ledger.counts.generated == 3)
    }

    @Test func silenceAndOverdueLeasesAreNotTheSame() {
        var exchange = exchange()
        _ = join(&exchange, Self.worker, .rollout, window: 2)
        func beat(_ leases: [UInt64], at time: Duration) -> [Exchange.Action] {
            let heartbeat = Heartbeat(status: MemberStatus(state: ""), leaseIDs: leases, epoch: 9)
            return exchange.receive(.heartbeat(heartbeat), from: Self.worker, now: time) + exchange.tick(now: time)
        }
        // Renewed for as long as it is named.
        for second in 1...100 { _ = beat([1], at: .seconds(second)) }
        #expect(exchange.leaseCount == 1 && exchange.counters.reissued == 0)
        // Alive, but the lease is not its concern any more.
        var revoked = 0
        for second in 101...170 {
            revoked += sent(beat([], at: .seconds(second))).count { if case .revoke = $0 { true } else { false } }
        }
        #expect(revoked == 1 && exchange.counters.reissued == 1)
        // Silent.
        for second in 171...190 { _ = exchange.tick(now: .seconds(second)) }
        #expect(exchange.counters.membersLost == 1 && exchange.leaseCount == 0)
    }

    /// A learner that was suspended does not take its own absence for its members'.
    @Test func aSuspendedLearnerBlamesNobody() {
        var exchange = exchange()
        _ = join(&exchange, Self.worker, .rollout, window: 2)
        for second in 1...5 { _ = exchange.tick(now: .seconds(second)) }
        _ = exchange.tick(now: .seconds(3600))
        #expect(exchange.leaseCount == 1 && exchange.memberCount(.rollout) == 1)
    }

    /// No hello is needed, and nobody joins by asking.
    @Test func anybodyMayAskForTheStatus() {
        var exchange = exchange(plan(heldout: 0))
        let stranger = PeerID("stranger")
        #expect(exchange.receive(.statusRequest, from: stranger, now: .zero) == [.reportStatus(to: stranger)])
        #expect(exchange.status(now: .zero).members.isEmpty)
        _ = join(&exchange, Self.worker, .rollout, window: 100)
        let status = exchange.status(now: .seconds(3))
        #expect(status.members.map(\.silenceSeconds) == [3] && status.members.map(\.tasks) == [6])
        #expect(status.batch == .init(total: 6, missing: 6, ready: 0) && status.leases == 3)
        #expect(status.waitingFor?.contains(" has 6 (joined") == true)
    }

    @Test func whatIsWaitedForHasAName() {
        var exchange = exchange(plan(heldout: 0, teachers: ["judge"]))
        #expect(exchange.waitingFor(now: .zero)?.what == "waiting for a rollout worker: none is connected")
        let tasks = join(&exchange, Self.worker, .rollout, window: 100)
        #expect(exchange.waitingFor(now: .zero)?.what == "waiting for 6 of 6 rollouts of step 1")
        let results = Trajectories(trajectories: tasks.map { response($0) }, epoch: 9)
        _ = exchange.receive(.trajectories(results), from: Self.worker, now: .zero)
        #expect(exchange.stage == .scores)
        #expect(exchange.waitingFor(now: .zero)?.what == "waiting for a scorer for teacher 'judge': none is connected")
    }

    /// Tokens in flight in a checkpoint are sampled again: their first sampling is booked as discarded.
    @Test func aRestoredLedgerBalances() {
        let ledger = Ledger(restoring: TokenCounts(generated: 10, trained: 6, discarded: 1, inFlight: 3))
        #expect(ledger.counts == TokenCounts(generated: 10, trained: 6, discarded: 4, inFlight: 0))
        #expect(exchange(version: 2).batchProgress == BatchProgress(total: 6, missing: 6, ready: 0))
    }
}
