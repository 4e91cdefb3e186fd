import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// Single decisions of the exchange, each in a few messages.
@Suite struct ExchangeTests {
    private static let worker = PeerID("worker")
    private static let scorer = PeerID("scorer")

    private func exchange(_ plan: RunPlan = plan(heldout: 0), version: UInt64 = 0) -> Exchange {
        Exchange(
            plan: plan, options: ExchangeOptions(runID: "r", tokenizerFingerprint: "t"), epoch: 9, version: version)
    }

    private func hello(
        _ name: String, _ role: Role, arithmetic: String = "", tokenizer: String = "t",
        version: UInt32 = Codec.version, teachers: [String]? = nil, teacher: TeacherDescription? = nil,
        isReproducible: Bool = true, addedTokens: [String] = []
    ) -> Message {
        .hello(
            Hello(
                role: role, name: name, protocolVersion: version, arithmetic: arithmetic,
                tokenizerFingerprint: tokenizer, teachers: teachers ?? (role == .scorer ? ["default"] : []),
                processID: 1, teacher: teacher, isReproducible: isReproducible, addedTokens: addedTokens))
    }

    private func join(
        _ exchange: inout Exchange, _ peer: PeerID, _ role: Role, window: Int, teachers: [String]? = nil
    ) -> [RolloutTask] {
        _ = exchange.receive(hello(peer.description, role, teachers: teachers), from: peer, now: .zero)
        let actions = exchange.receive(
            .leaseRequest(LeaseRequest(count: window, epoch: 9)), from: peer, now: .zero)
        return rollouts(actions, peer)
    }

    private func rollouts(_ actions: [Exchange.Action], _ peer: PeerID) -> [RolloutTask] {
        actions.flatMap { action -> [RolloutTask] in
            guard case .send(.rolloutGrant(let grant), let to) = action, to == peer else { return [] }
            return grant.groups.flatMap(\.tasks)
        }
    }

    private func sent(_ actions: [Exchange.Action]) -> [Message] {
        actions.compactMap { if case .send(let message, _) = $0 { message } else { nil } }
    }

    private func response(_ task: RolloutTask, tokens: Int = 3, version: UInt64 = 0) -> Trajectory {
        let ids = (0..<tokens).map { Int32($0) }
        return Trajectory(
            id: task.id, kind: task.kind, teacher: "", promptIDs: task.promptIDs, responseIDs: ids,
            behaviourLogprobs: ids.map { _ in -1 }, policyVersions: PolicyVersions(repeating: version, count: tokens),
            finishReason: .stop,
            temperature: task.sampling.temperature)
    }

    @Test(arguments: [Role.rollout, .scorer], ["", "a"])
    func memberWithOtherArithmeticIsWarnedOf(role: Role, ours: String) {
        let options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t", arithmetic: ours)
        for theirs in ["", "a", "b"] {
            var exchange = Exchange(plan: plan(heldout: 0), options: options, epoch: 9, version: 0)
            let actions = exchange.receive(
                hello("w", role, arithmetic: theirs), from: PeerID("w"), now: .zero)
            let warnings = actions.compactMap { action -> String? in
                guard case .note(let note) = action, note.level == .warning else { return nil }
                return note.text
            }
            #expect(warnings.count == (ours == "a" && theirs == "b" ? 1 : 0), "\(ours), \(theirs): \(warnings)")
            #expect(warnings.allSatisfy { $0.hasPrefix("w rounds otherwise than the learner") })
            // It is let in all the same.
            #expect(sent(actions).contains { if case .welcome = $0 { true } else { false } })
        }
    }

    @Test func aHelloThatIsRepeatedIsAnsweredAndNotNotedAgain() {
        let options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t", arithmetic: "ours")
        var exchange = Exchange(plan: plan(heldout: 0), options: options, epoch: 9, version: 0)
        let notes = [Self.worker, Self.worker, PeerID("again")].map { peer in
            let actions = exchange.receive(hello("w", .rollout, arithmetic: "theirs"), from: peer, now: .zero)
            #expect(sent(actions).contains { if case .welcome = $0 { true } else { false } })
            return actions.count { if case .note = $0 { true } else { false } }
        }
        // The last one is another process.
        #expect(notes == [2, 0, 2])
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
    private static let imitation = {
        var plan = TestSupport.plan(steps: 9, heldout: 0, teachers: ["", ""])
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

    @Test func onlyTheTeachersOwnWorkerIsBelieved() {
        var exchange = exchange(Self.imitation)
        let tasks = join(&exchange, PeerID("a"), .rollout, window: 1, teachers: ["a"])
        _ = join(&exchange, PeerID("b"), .rollout, window: 0, teachers: ["b"])
        let message = Message.trajectories(Trajectories(trajectories: [response(tasks[0])], epoch: 9))
        let actions = exchange.receive(message, from: PeerID("b"), now: .zero)
        #expect(
            actions.contains {
                if case .suspect(_, "it is for a worker of teacher 'a'") = $0 { true } else { false }
            })
        #expect(exchange.ledger.counts.generated == 0 && exchange.audit() == nil)
    }

    /// A worker with the student in a run whose teachers sample, and the other way round, would wait for ever, or be wrong.
    @Test func aWorkerWithTheWrongModelIsRefused() {
        func refusal(_ plan: RunPlan, _ teachers: [String]) -> String? {
            var exchange = self.exchange(plan)
            let actions = exchange.receive(hello("w", .rollout, teachers: teachers), from: Self.worker, now: .zero)
            for message in sent(actions) {
                if case .reject(let reject) = message, reject.code == .unknownTeacher { return reject.message }
            }
            return nil
        }
        #expect(refusal(Self.imitation, ["a"]) == nil && refusal(plan(), []) == nil)
        #expect(refusal(Self.imitation, ["c"])?.hasPrefix("no prompt of this run asks for teacher 'c'") == true)
        #expect(
            refusal(Self.imitation, [])
                == "w samples with the student, and this run with teachers; give both the same objective.kind")
        #expect(
            refusal(plan(), ["default"])
                == "w samples with a teacher, and this run with the student; give both the same objective.kind")
        var exchange = self.exchange(Self.imitation)
        let scorer = sent(exchange.receive(hello("s", .scorer, teachers: ["a"]), from: Self.scorer, now: .zero))
        #expect(scorer.contains { if case .reject = $0 { true } else { false } }, "nobody grades")
    }

    @Test func aMissingTeachersWorkerIsNamed() {
        var exchange = exchange(Self.imitation)
        #expect(exchange.waitingFor(now: .zero)?.text == "waiting for a rollout worker: none is connected")
        _ = join(&exchange, PeerID("b"), .rollout, window: 1, teachers: ["b"])
        #expect(
            exchange.waitingFor(now: .zero)?.text == "waiting for a rollout worker of teacher 'a': none is connected")
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

    @Test func anotherEpochIsToldOfThisOne() {
        var exchange = exchange()
        let tasks = join(&exchange, Self.worker, .rollout, window: 2)
        let actions = exchange.receive(
            .trajectories(Trajectories(trajectories: [response(tasks[0])], epoch: 8)), from: Self.worker, now: .zero)
        #expect(sent(actions) == [.heartbeatReply(HeartbeatReply(epoch: 9, version: 0))])
        #expect(exchange.ledger.counts == TokenCounts())
    }

    @Test func strangersAreAskedToSayHello() {
        var exchange = exchange()
        let actions = exchange.receive(
            .heartbeat(Heartbeat(status: MemberStatus(state: ""), epoch: 9)), from: Self.worker, now: .zero)
        guard case .reject(let reject) = sent(actions).first else {
            Issue.record("\(actions)")
            return
        }
        #expect(reject.code == .unknownPeer)
    }

    @Test func refusalsSayWhatToDo() {
        func refusal(_ hello: Message) -> Reject? {
            var exchange = exchange()
            for case .reject(let reject) in sent(exchange.receive(hello, from: Self.scorer, now: .zero)) {
                return reject
            }
            return nil
        }
        #expect(refusal(hello("s", .scorer)) == nil)
        #expect(refusal(hello("s", .scorer, tokenizer: "u"))?.code == .tokenizerMismatch)
        #expect(refusal(hello("s", .rollout, tokenizer: "u"))?.message.contains("tokenizer of s") == true)
        let old = refusal(hello("s", .scorer, version: 77))
        #expect(old?.code == .protocolVersion && old?.protocolVersion == 77)
        #expect(old?.message == "s speaks protocol 77, the learner 2; use the same opd on both sides")
        #expect(refusal(hello("s", .scorer, teachers: ["nobody"]))?.code == .unknownTeacher)
        // One teacher that is asked for is enough.
        #expect(refusal(hello("s", .scorer, teachers: ["default", "nobody"])) == nil)
    }

    /// Who repeats such a run gets another; only what samples makes s and b differ.
    @Test(arguments: [Role.rollout, .scorer]) func aMemberThatPromisesNoBitsIsToldOf(role: Role) {
        var exchange = exchange()
        func notices(_ isReproducible: Bool) -> Int {
            exchange.receive(hello("m", role, isReproducible: isReproducible), from: Self.worker, now: .zero)
                .count { if case .note(let note) = $0 { note.level == .notice } else { false } }
        }
        #expect(notices(true) == 0 && !exchange.hasInexactSampler)
        _ = exchange.receive(.goodbye(Goodbye(reason: "")), from: Self.worker, now: .zero)
        #expect(notices(false) == 1 && exchange.hasInexactSampler == (role == .rollout))
        #expect(notices(false) == 0, "a hello that is said again is no news")
    }

    /// What a teacher costs is known for as long as its rollouts are trained, whether its member is still there or not.
    @Test func whatATeacherCostsIsRemembered() {
        var exchange = exchange()
        let cost = PassCost(perToken: 1, perResponseToken: 2, perPair: 3)
        _ = exchange.receive(hello("a", .scorer), from: Self.scorer, now: .zero)
        #expect(exchange.forwardCost(ofTeacher: "default") == nil)
        let told = hello("b", .scorer, teachers: ["default", "nobody"], teacher: TeacherDescription(forwardCost: cost))
        _ = exchange.receive(told, from: Self.worker, now: .zero)
        _ = exchange.receive(.goodbye(Goodbye(reason: "")), from: Self.worker, now: .zero)
        #expect(exchange.forwardCost(ofTeacher: "default") == cost && exchange.forwardCost(ofTeacher: "nobody") == nil)
    }

    /// What a member does not tell is not held against it.
    @Test func aTeacherMustRenderAsTheStudentDoes() {
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t")
        options.templateIdentity = "chat"
        func refusal(_ teacher: TeacherDescription?) -> Reject? {
            var exchange = Exchange(plan: plan(heldout: 0), options: options, epoch: 9)
            let actions = exchange.receive(hello("s", .scorer, teacher: teacher), from: Self.scorer, now: .zero)
            for case .reject(let reject) in sent(actions) { return reject }
            #expect(exchange.forwardCost(ofTeacher: "default") == teacher?.forwardCost)
            return nil
        }
        #expect(refusal(nil) == nil && refusal(TeacherDescription()) == nil)
        #expect(refusal(TeacherDescription(contextLength: 1, templateIdentity: "chat")) == nil)
        let other = refusal(TeacherDescription(templateIdentity: "other"))
        #expect(other?.code == .unsuitableTeacher)
        #expect(other?.message.hasPrefix("the chat template of the teacher of s differs") == true)
        options.templateIdentity = ""
        #expect(refusal(TeacherDescription(templateIdentity: "other")) == nil)
    }

    /// A teacher that samples needs room for its own prompts, and for no others.
    @Test func aTeacherThatSamplesMustHaveRoom() {
        var runPlan = plan(heldout: 0)
        runPlan.prompts = [
            Prompt(ids: [1, 2], teacher: "", sampler: "short"),
            Prompt(ids: [1, 2, 3, 4], teacher: "", sampler: "long"),
        ]
        func refusal(_ teacher: String, _ contextLength: Int) -> Reject? {
            let options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t")
            var exchange = Exchange(plan: runPlan, options: options, epoch: 9)
            let description = TeacherDescription(contextLength: contextLength)
            let actions = exchange.receive(
                hello("w", .rollout, teachers: [teacher], teacher: description), from: Self.worker, now: .zero)
            for case .reject(let reject) in sent(actions) { return reject }
            return nil
        }
        #expect(refusal("short", 8) == nil && refusal("long", 10) == nil && refusal("long", 0) == nil)
        #expect(refusal("short", 7)?.code == .unsuitableTeacher)
        let reject = refusal("long", 9)
        #expect(reject?.message.hasPrefix("the teacher of w reads 9 tokens, and its longest prompt") == true)
    }

    @Test func aScorerGetsNoWeights() {
        var exchange = exchange()
        _ = join(&exchange, Self.scorer, .scorer, window: 1)
        let request = Message.weightsRequest(WeightsRequest(version: 0, firstChunk: 0, credit: 1))
        let actions = exchange.receive(request, from: Self.scorer, now: .zero)
        #expect(!actions.contains { if case .serveWeights = $0 { true } else { false } })
        #expect(exchange.counters.invalid == 1)
    }

    @Test func aNameBelongsToItsKey() {
        var exchange = exchange()
        let owner = PeerID(bytes: [0, 1], key: "A")
        _ = exchange.receive(hello("w", .rollout), from: owner, now: .zero)
        // Another key, also under the very routing id, is another peer and does not displace it.
        for thief in [PeerID(bytes: [0, 2], key: "B"), PeerID(bytes: [0, 1], key: "B")] {
            let actions = exchange.receive(hello("w", .rollout), from: thief, now: .zero)
            guard case .send(.reject(let reject), thief)? = actions.first else {
                Issue.record("\(actions)")
                return
            }
            #expect(reject.code == .nameInUse)
            let stranger = exchange.receive(
                .heartbeat(Heartbeat(status: MemberStatus(state: ""), epoch: 9)), from: thief, now: .zero)
            #expect(
                stranger.contains {
                    if case .send(.reject(let reject), thief) = $0 { reject.code == .unknownPeer } else { false }
                })
        }
        #expect(exchange.peers(.rollout) == [owner])
        // The same key on a new connection does.
        let again = PeerID(bytes: [0, 3], key: "A")
        _ = exchange.receive(hello("w", .rollout), from: again, now: .zero)
        #expect(exchange.peers(.rollout) == [again])
    }

    @Test func helloFloodsAreBounded() {
        var exchange = exchange()
        for index in 0..<10_000 {
            _ = exchange.receive(hello("w\(index)", .rollout), from: PeerID("w\(index)"), now: .zero)
        }
        #expect(exchange.memberCount(.rollout) == exchange.options.memberLimit)
        // Who is in may say hello again, and what left makes room.
        let again = exchange.receive(hello("w0", .rollout), from: PeerID("w0"), now: .zero)
        #expect(sent(again).contains { if case .welcome = $0 { true } else { false } })
        _ = exchange.receive(.goodbye(Goodbye(reason: "")), from: PeerID("w1"), now: .zero)
        let late = exchange.receive(hello("late", .rollout), from: PeerID("late"), now: .zero)
        #expect(sent(late).contains { if case .welcome = $0 { true } else { false } })
    }

    @Test func aRestartedProcessTakesItsPlaceAtOnce() {
        var exchange = exchange()
        let tasks = join(&exchange, PeerID("worker-1"), .rollout, window: 2)
        let again = hello("worker-1", .rollout)
        let actions = exchange.receive(again, from: PeerID("worker-1b"), now: .zero)
        #expect(
            actions.contains {
                if case .send(.reject(let reject), PeerID("worker-1")) = $0 { reject.code == .nameInUse } else { false }
            })
        let regranted = exchange.receive(
            .leaseRequest(LeaseRequest(count: 2, epoch: 9)), from: PeerID("worker-1b"), now: .zero)
        #expect(rollouts(regranted, PeerID("worker-1b")).map(\.id) == tasks.map(\.id))
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

    @Test func invalidResultsAreNotBookedAndEndInRefusal() {
        var exchange = exchange()
        let task = join(&exchange, Self.worker, .rollout, window: 2)[0]
        var wrong = [response(task), response(task), response(task)]
        wrong[0].responseIDs = [0, 1, 2, 0]
        wrong[1].policyVersions = [0, 0, 1]
        wrong[2] = response(task, tokens: 7)
        var refused = false
        for trajectory in wrong {
            let message = Message.trajectories(Trajectories(trajectories: [trajectory], epoch: 9))
            let actions = exchange.receive(message, from: Self.worker, now: .zero)
            refused = sent(actions).contains { if case .reject = $0 { true } else { false } }
            #expect(exchange.audit() == nil)
        }
        #expect(refused && exchange.counters.invalid == 3 && exchange.ledger.counts == TokenCounts())
        #expect(exchange.memberCount(.rollout) == 0)
    }

    /// Delivers grades of a trajectory that `peer` holds, and returns what comes of it.
    private func grade(
        _ exchange: inout Exchange, _ peer: PeerID, _ id: RolloutID, _ logprobs: [Float]
    ) -> [Exchange.Action] {
        let scores = Scores(scores: [Score(id: id, kind: .train, logprobs: logprobs)], epoch: 9)
        defer { #expect(exchange.audit() == nil) }
        return exchange.receive(.scores(scores), from: peer, now: .zero)
    }

    private func scoreTasks(_ actions: [Exchange.Action], _ peer: PeerID) -> [RolloutID] {
        actions.flatMap { action -> [RolloutID] in
            guard case .send(.scoreGrant(let grant), let to) = action, to == peer else { return [] }
            return grant.tasks.map(\.id)
        }
    }

    @Test func gradesWithoutNumbersAreForAnotherScorerFirst() {
        var exchange = exchange()
        let tasks = join(&exchange, Self.worker, .rollout, window: 100)
        let other = PeerID("other")
        _ = join(&exchange, Self.scorer, .scorer, window: 1)
        let delivered = exchange.receive(
            .trajectories(Trajectories(trajectories: tasks.prefix(1).map { response($0) }, epoch: 9)),
            from: Self.worker, now: .zero)
        #expect(scoreTasks(delivered, Self.scorer) == [tasks[0].id])
        _ = join(&exchange, other, .scorer, window: 100)
        let doubted = grade(&exchange, Self.scorer, tasks[0].id, [-1, .nan, -1])
        #expect(scoreTasks(doubted, other) == [tasks[0].id] && scoreTasks(doubted, Self.scorer) == [])
        #expect(doubted.contains { if case .suspect = $0 { true } else { false } })
        #expect(exchange.batchProgress.ready == 0 && exchange.ledger.gradedTokens == 0)
        _ = grade(&exchange, other, tasks[0].id, [-1, -2, -3])
        #expect(exchange.batchProgress.ready == 1 && exchange.ledger.gradedTokens == 3)
        #expect(exchange.memberCount(.scorer) == 2, "once is no habit")
    }

    /// Whose fault it is cannot be known: the step is judged, and nobody refused.
    @Test(arguments: [[-1, .nan, -1], [-1, -1]] as [[Float]]) func gradesThatNobodyHasAreTaken(_ grades: [Float]) throws
    {
        var exchange = exchange(plan(steps: 1, prompts: 1, samples: 1, heldout: 0))
        let task = join(&exchange, Self.worker, .rollout, window: 100)[0]
        _ = join(&exchange, Self.scorer, .scorer, window: 1)
        _ = exchange.receive(
            .trajectories(Trajectories(trajectories: [response(task)], epoch: 9)), from: Self.worker, now: .zero)
        for attempt in 1...exchange.options.attemptLimit {
            #expect(exchange.batch() == nil)
            let actions = grade(&exchange, Self.scorer, task.id, grades)
            let again = attempt < exchange.options.attemptLimit
            #expect(scoreTasks(actions, Self.scorer) == (again ? [task.id] : []))
        }
        let batch = try #require(exchange.batch())
        #expect(batch[0].teacherLogprobs.count == 3 && !batch[0].isFinite)
        #expect(exchange.memberCount(.scorer) == 1)
        exchange.skipStep()
        #expect(exchange.ledger.counts == TokenCounts(generated: 3, discarded: 3) && exchange.audit() == nil)
    }

    @Test func rolloutsThatNobodyHasNumbersForAreTaken() throws {
        var exchange = exchange(plan(steps: 1, prompts: 1, samples: 3, heldout: 0))
        var tasks = join(&exchange, Self.worker, .rollout, window: 100)
        for _ in 1...exchange.options.attemptLimit {
            #expect(tasks.count == 3 && exchange.ledger.counts == TokenCounts())
            let spoilt = tasks.map { task in
                var trajectory = response(task)
                trajectory.behaviourLogprobs[1] = .nan
                return trajectory
            }
            let actions = exchange.receive(
                .trajectories(Trajectories(trajectories: spoilt, epoch: 9)), from: Self.worker, now: .zero)
            #expect(exchange.audit() == nil)
            tasks = rollouts(actions, Self.worker)
        }
        #expect(tasks == [] && exchange.stage == .scores && exchange.memberCount(.rollout) == 1)
        #expect(exchange.ledger.counts == TokenCounts(generated: 9, inFlight: 9))
    }

    /// Such an id would stop the scorer that grades it and the learner that trains on it.
    @Test func tokensOutsideTheVocabularyAreNotBooked() {
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t")
        options.vocabularySize = 3
        var exchange = Exchange(plan: plan(heldout: 0), options: options, epoch: 9)
        let tasks = join(&exchange, Self.worker, .rollout, window: 2)
        func deliver(_ trajectory: Trajectory) {
            let message = Message.trajectories(Trajectories(trajectories: [trajectory], epoch: 9))
            _ = exchange.receive(message, from: Self.worker, now: .zero)
        }
        for bad: Int32 in [3, .max] {
            var trajectory = response(tasks[0])
            trajectory.responseIDs[1] = bad
            deliver(trajectory)
        }
        #expect(exchange.counters.invalid == 2 && exchange.ledger.counts == TokenCounts())
        deliver(response(tasks[0]))
        #expect(exchange.ledger.counts.generated == 3 && exchange.audit() == nil)
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
        #expect(status.waitingFor.contains(" has 6 (joined"))
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
