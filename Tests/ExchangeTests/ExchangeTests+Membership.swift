import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// The decisions on who takes part, and as what.
extension ExchangeTests {
    @Test(arguments: [Role.rollout, .scorer], [nil, "a"])
    func memberWithOtherArithmeticIsWarnedOf(role: Role, ours: String?) {
        let options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t", arithmetic: ours)
        for theirs in [nil, "a", "b"] {
            var exchange = Exchange(plan: plan(heldout: 0), options: options, epoch: 9, version: 0)
            let actions = exchange.receive(
                hello("w", role, arithmetic: theirs), from: PeerID("w"), now: .zero)
            let warnings = actions.compactMap { action -> String? in
                guard case .note(let note) = action, note.level == .warning else { return nil }
                return note.text
            }
            #expect(
                warnings.count == (ours == "a" && theirs == "b" ? 1 : 0),
                "\(ours ?? "?"), \(theirs ?? "?"): \(warnings)")
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
        // One that renders this teacher's own prompts alike will do, and only of this teacher.
        options.equivalentTemplates = ["default": "other", "nobody": "third"]
        #expect(refusal(TeacherDescription(templateIdentity: "other")) == nil)
        #expect(refusal(TeacherDescription(templateIdentity: "third"))?.code == .unsuitableTeacher)
        options.templateIdentity = nil
        #expect(refusal(TeacherDescription(templateIdentity: "other")) == nil)
    }

    /// A teacher that samples needs room for its own prompts, and for no others.
    @Test func aTeacherThatSamplesMustHaveRoom() {
        var runPlan = plan(heldout: 0)
        runPlan.prompts = [
            Prompt(ids: [1, 2], teacher: nil, sampler: "short"),
            Prompt(ids: [1, 2, 3, 4], teacher: nil, sampler: "long"),
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

    /// A process that came through a relay goes on by itself when that is gone, and may come back.
    @Test func aNameGoesFromARelaysKeyToAnotherAndBack() {
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t")
        options.relayKeys = ["R"]
        var exchange = Exchange(plan: plan(heldout: 0), options: options, epoch: 9, version: 0)
        var holder = PeerID("nobody")
        for (number, key) in ["R", "A", "R", "A"].enumerated() {
            let peer = PeerID(bytes: [0, UInt8(number)], key: key), now = Duration.seconds(3 * number)
            if number > 0 {
                // One who speaks is there.
                let early = exchange.receive(hello("w", .rollout), from: peer, now: now - .seconds(1))
                #expect(sent(early).isEmpty && exchange.peers(.rollout) == [holder])
            }
            let actions = exchange.receive(hello("w", .rollout), from: peer, now: now)
            #expect(sent(actions).contains { if case .welcome = $0 { true } else { false } })
            #expect(exchange.peers(.rollout) == [peer])
            holder = peer
        }
        // Another member's key cannot take it from one that has a key of its own, nor can one of another role.
        for (key, role) in [("B", Role.rollout), ("R", .scorer)] {
            let thief = exchange.receive(hello("w", role), from: PeerID(bytes: [0, 9], key: key), now: .seconds(60))
            #expect(
                sent(thief).contains { if case .reject(let reject) = $0 { reject.code == .nameInUse } else { false } })
        }
        #expect(exchange.peers(.rollout) == [holder])
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
}

extension ExchangeTests {
    /// Differences are made for those that can apply them and fetch weights over the wire, as long as they do.
    @Test func whoFetchesChunksTakesDifferences() {
        var exchange = exchange(version: 20)
        func join(_ peer: PeerID, revision: UInt32) {
            let hello = Hello(
                role: .rollout, name: "\(peer)", tokenizerFingerprint: "t", processID: 1, weightRevision: revision)
            _ = exchange.receive(.hello(hello), from: peer, now: .zero)
        }
        let new = PeerID("new"), old = PeerID("old"), near = PeerID("near")
        join(new, revision: 1)
        join(old, revision: 0)
        join(near, revision: 1)
        #expect(exchange.differenceTakers.isEmpty)
        func ask(_ peer: PeerID, _ version: UInt64) {
            let request = WeightsRequest(version: version, firstChunk: 0, credit: 1)
            _ = exchange.receive(.weightsRequest(request), from: peer, now: .zero)
        }
        ask(old, 20)
        ask(new, 11)
        #expect(exchange.differenceTakers.isEmpty)
        for version in [12, 20, .max] as [UInt64] {
            ask(new, version)
            #expect(exchange.differenceTakers == [new])
        }
    }
}
