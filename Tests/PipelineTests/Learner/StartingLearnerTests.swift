import Exchange
import Pipeline
import TestSupport
import Testing
import Transport
import Wire

/// Members that come while the learner's models load.
@Suite struct StartingLearnerTests {
    @Test func everyHelloIsAnsweredUntilTheLearnerIsThere() async throws {
        let network = InProcessNetwork(), learner = network.learner(), member = network.member(identity: "worker")
        let answering = Task { await StartingLearner(learner, after: .zero).answer() }
        let hello = Hello(role: .rollout, name: "worker", tokenizerFingerprint: nil, processID: 1)
        var answers = member.events.makeAsyncIterator()
        for _ in 0..<2 {
            try member.send(.hello(hello))
            guard case .message(.reject(let reject), _) = await answers.next() else {
                Issue.record("no answer")
                return
            }
            #expect(reject.code == .unknownPeer)
        }
        answering.cancel()
        await answering.value
        // What comes then is the learner's own.
        try member.send(.hello(hello))
        var events = learner.events.makeAsyncIterator()
        #expect(await events.next() == .message(.hello(hello), from: PeerID("worker")))
        await learner.close()
        await member.close()
    }

    /// Members of the learner before it send heartbeats, requests and results, and no hello, until they are told to.
    @Test func membersThatHadJoinedAreTold() async throws {
        let network = InProcessNetwork(), learner = network.learner(), member = network.member(identity: "worker")
        let answering = Task { await StartingLearner(learner, after: .zero).answer() }
        let status = MemberStatus(state: "", tokens: 0, tokensPerSecond: 0, version: 0)
        let told: [Message] = [
            .heartbeat(Heartbeat(status: status, leaseIDs: [], epoch: 1)),
            .leaseRequest(LeaseRequest(count: 4, epoch: 1)),
            .trajectories(Trajectories(results: [], epoch: 1)),
            .scores(Scores(scores: [], epoch: 1)),
            .weightsRequest(WeightsRequest(version: 1, firstChunk: 0, credit: 1)),
        ]
        // None of these is answered: the first answer is that to what comes after them.
        let untold: [Message] = [
            .goodbye(Goodbye(reason: "")), .statusRequest, .shutdown(Shutdown(reason: "only a learner says so")),
        ]
        for message in untold + told { try member.send(message) }
        var answers = member.events.makeAsyncIterator()
        for _ in told {
            guard case .message(.reject(let reject), _) = await answers.next() else {
                Issue.record("no answer")
                return
            }
            #expect(reject.code == .unknownPeer)
        }
        answering.cancel()
        await answering.value
        await learner.close()
        // Whatever else was sent is here by now.
        await member.close()
        var rest = 0
        while let event = await answers.next() { if case .message = event { rest += 1 } }
        #expect(rest == 0)
    }

    /// A member that had joined says hello on being told, and then waits.
    @Test func aJoinedMemberWaitsForALearnerThatLoads() {
        let hello = Hello(role: .scorer, name: "scorer", tokenizerFingerprint: nil, processID: 1)
        var session = MemberSession<ScoreTask>(hello: hello, window: 4, patience: .seconds(20), now: .zero)
        let status = MemberStatus(state: "", tokens: 0, tokensPerSecond: 0, version: 0)
        let loading = Message.reject(Reject(code: .unknownPeer, message: "its models are still loading"))
        _ = session.tick(now: .zero, status: status)
        let welcome = Welcome(runID: "run", epoch: 1, heartbeatSeconds: 1, leaseSeconds: 60, version: 0)
        _ = session.receive(.welcome(welcome), now: .zero)
        // Then the learner is another, which answers whatever it is sent.
        var sent: [Message] = []
        for second in 1..<90 {
            let now = Duration.seconds(second), actions = session.tick(now: now, status: status)
            for case .send(let message) in actions {
                sent.append(message)
                for case .send(let next) in session.receive(loading, now: now) { sent.append(next) }
            }
            for case .end(let reason) in actions { Issue.record("it ended: \(reason)") }
        }
        #expect(sent.contains { if case .heartbeat = $0 { true } else { false } })
        #expect(sent.suffix(40).allSatisfy { if case .hello = $0 { true } else { false } })
    }

    /// It waits for longer than its patience, says so, and gives up when the learner is silent.
    @Test func aMemberWaitsForALearnerThatLoads() {
        let hello = Hello(role: .scorer, name: "scorer", tokenizerFingerprint: nil, processID: 1)
        var session = MemberSession<ScoreTask>(hello: hello, window: 4, patience: .seconds(20), now: .zero)
        let status = MemberStatus(state: "", tokens: 0, tokensPerSecond: 0, version: 0)
        let loading = Message.reject(Reject(code: .unknownPeer, message: "its models are still loading"))
        var said: [String] = [], end: MemberEnd?, hellos = 0
        func take(_ actions: [MemberSession<ScoreTask>.Action]) {
            for action in actions {
                switch action {
                case .say(let words): said.append(words)
                case .end(let reason): end = reason
                case .send(.hello): hellos += 1
                default: break
                }
            }
        }
        for second in 0..<90 {
            take(session.tick(now: .seconds(second), status: status))
            if second.isMultiple(of: 2) { take(session.receive(loading, now: .seconds(second))) }
        }
        #expect(end == nil && hellos == 45)
        #expect(said.count == 3 && Set(said) == ["waiting for the learner: its models are still loading"])
        for second in 90..<115 { take(session.tick(now: .seconds(second), status: status)) }
        #expect(end == .unreachable(.seconds(21)))
    }
}
