import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// Teachers that take the student's weights every so many steps.
@Suite struct EarlierSelfTests {
    private static let scorer = PeerID("scorer"), worker = PeerID("worker")

    private func exchange(
        every steps: UInt64, maxStaleness: UInt64 = 0, version: UInt64 = 0, isAverage: Bool = false
    ) -> Exchange {
        var plan = plan(steps: 9, prompts: 1, samples: 1, maxStaleness: maxStaleness, heldout: 0)
        plan.refreshes = ["default": steps]
        if isAverage { plan.averages = ["default"] }
        return Exchange(plan: plan, options: ExchangeOptions(runID: "r"), epoch: 9, version: version)
    }

    private func hello(_ role: Role, follows: Bool = true, teachers: [String] = ["default"]) -> Message {
        var hello = Hello(
            role: role, name: role.rawValue, tokenizerFingerprint: nil, teachers: role == .scorer ? teachers : [],
            processID: 1)
        hello.followsWeights = follows
        return .hello(hello)
    }

    private func join(_ exchange: inout Exchange, _ role: Role) -> [Exchange.Action] {
        let peer = role == .scorer ? Self.scorer : Self.worker
        return exchange.receive(hello(role), from: peer, now: .zero)
            + exchange.receive(.leaseRequest(LeaseRequest(count: 9, epoch: 9)), from: peer, now: .zero)
    }

    /// Hands in a response for every rollout that is granted.
    private func handIn(_ exchange: inout Exchange, _ actions: [Exchange.Action]) -> [ScoreTask] {
        let tasks = actions.flatMap { action -> [RolloutTask] in
            if case .send(.rolloutGrant(let grant), _) = action { grant.groups.flatMap(\.tasks) } else { [] }
        }
        let trajectories = tasks.map { task in
            Trajectory(
                id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: [3, 4],
                behaviourLogprobs: [-1, -1], policyVersions: PolicyVersions(repeating: exchange.version, count: 2),
                finishReason: .stop, temperature: 1)
        }
        return scoreTasks(
            exchange.receive(
                .trajectories(Trajectories(trajectories: trajectories, epoch: 9)), from: Self.worker, now: .zero))
    }

    private func scoreTasks(_ actions: [Exchange.Action]) -> [ScoreTask] {
        actions.flatMap { action -> [ScoreTask] in
            if case .send(.scoreGrant(let grant), _) = action { grant.tasks } else { [] }
        }
    }

    private func grade(_ exchange: inout Exchange, _ tasks: [ScoreTask]) -> [ScoreTask] {
        let scores = tasks.map { Score(id: $0.id, kind: $0.kind, logprobs: [-1, -1]) }
        return scoreTasks(
            exchange.receive(.scores(Scores(scores: scores, epoch: 9)), from: Self.scorer, now: .zero))
    }

    @Test func onlyAScorerThatFollowsIsWelcome() throws {
        let others: [(Bool, [String], Bool)] = [
            (true, ["default"], true), (false, ["default"], false), (true, ["default", "other"], false),
        ]
        for (follows, teachers, isWelcome) in others {
            for (isAverage, key) in [(false, "refresh_every"), (true, "ema_decay")] {
                var exchange = exchange(every: 3, isAverage: isAverage)
                let actions = exchange.receive(
                    hello(.scorer, follows: follows, teachers: teachers), from: Self.scorer, now: .zero)
                let reject = actions.lazy.compactMap {
                    if case .send(.reject(let reject), _) = $0 { reject } else { nil }
                }.first
                #expect((reject == nil) == isWelcome)
                #expect(reject.map { $0.code == .unsuitableTeacher && $0.message.contains(key) } ?? true)
                #expect(actions.contains(.announceWeights(to: Self.scorer)) == isWelcome)
            }
        }
    }

    @Test func weightsAreForThoseWhoFollow() {
        var exchange = exchange(every: 3, version: 4)
        _ = join(&exchange, .scorer)
        #expect(exchange.followedVersion(of: Self.scorer) == 3 && exchange.followers() == [])
        let request = WeightsRequest(version: 3, firstChunk: 0, credit: 1)
        #expect(
            exchange.receive(.weightsRequest(request), from: Self.scorer, now: .zero)
                .contains(.serveWeights(request, to: Self.scorer)))
        for (version, isBehind) in [(MemberStatus.noVersion, true), (0, true), (3, false)] {
            let status = MemberStatus(state: "", version: version)
            let beat = Message.heartbeat(Heartbeat(status: status, leaseIDs: [], epoch: 9))
            let actions = exchange.receive(beat, from: Self.scorer, now: .zero)
            #expect(actions.contains(.announceWeights(to: Self.scorer)) == isBehind)
        }
    }

    /// Steps 0 and 1 are graded with version 0, 2 and 3 with version 2, and not before that is there.
    @Test func everyStepHasItsVersion() throws {
        var exchange = exchange(every: 2, maxStaleness: 2)
        _ = join(&exchange, .scorer)
        var tasks = handIn(&exchange, join(&exchange, .rollout))
        // The third step's response is there, and waits for the weights that are to grade it.
        #expect(tasks.map(\.weightsVersion) == [0, 0] && tasks.map(\.id.group) == [0, 1])
        #expect(grade(&exchange, tasks) == [] && exchange.audit() == nil)
        exchange.completeStep()
        tasks = handIn(&exchange, exchange.grantWork(now: .zero))
        #expect(tasks == [] && exchange.followers() == [])
        exchange.completeStep()
        #expect(exchange.followers() == [Self.scorer])
        let granted = exchange.grantWork(now: .zero)
        tasks = scoreTasks(granted) + handIn(&exchange, granted)
        #expect(tasks.map(\.weightsVersion) == [2, 2] && tasks.map(\.id.group) == [2, 3])
        #expect(exchange.audit() == nil)
    }

    @Test func thePlanTellsVersions() {
        var plan = plan()
        #expect(plan.weightsVersion(of: "default", at: 5) == nil && plan.followedVersions(at: 5) == [])
        plan.refreshes = ["default": 4, "other": 3]
        #expect(plan.weightsVersion(of: "default", at: 5) == 4 && plan.followedVersions(at: 8) == [8, 6])
        #expect(plan.weightsVersion(of: "default", at: 0) == 0)
        #expect(plan.averageVersions(at: 8) == [:])
        plan.averages = ["other"]
        #expect(plan.weightsVersion(of: "other", at: 8) == 6 && plan.followedVersions(at: 8) == [8])
        #expect(plan.averageVersions(at: 8) == ["other": 6])
    }

    /// The weights of a version and the average of that version are two things.
    @Test func whoFollowsAnAverageIsToldOfNothingElse() {
        for isAverage in [false, true] {
            var exchange = exchange(every: 2, version: 4, isAverage: isAverage)
            _ = join(&exchange, .scorer)
            _ = join(&exchange, .rollout)
            #expect(exchange.followedVersion(of: Self.scorer) == 4)
            #expect(exchange.followedAverage(of: Self.scorer) == (isAverage ? "default" : nil))
            #expect(exchange.followers() == (isAverage ? [] : [Self.scorer]))
            #expect(exchange.followers(of: "default") == (isAverage ? [Self.scorer] : []))
            #expect(exchange.followedAverage(of: Self.worker) == nil && exchange.followers(of: "other") == [])
        }
    }
}
