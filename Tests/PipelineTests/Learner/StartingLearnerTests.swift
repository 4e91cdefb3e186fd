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
