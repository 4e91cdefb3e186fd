import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// The decisions on results that cannot be right, or that somebody should look at again.
extension ExchangeTests {
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
    func grade(
        _ exchange: inout Exchange, _ peer: PeerID, _ id: RolloutID, _ logprobs: [Float]
    ) -> [Exchange.Action] {
        let scores = Scores(scores: [Score(id: id, kind: .train, logprobs: logprobs)], epoch: 9)
        defer { #expect(exchange.audit() == nil) }
        return exchange.receive(.scores(scores), from: peer, now: .zero)
    }

    func scoreTasks(_ actions: [Exchange.Action], _ peer: PeerID) -> [RolloutID] {
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
}
