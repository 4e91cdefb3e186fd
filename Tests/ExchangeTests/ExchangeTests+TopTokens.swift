import Distillation
import Exchange
import Foundation
import TestSupport
import Testing
import Wire

/// Runs that need more of a teacher than the sampled token's grade.
extension ExchangeTests {
    private func exchange(topTokens: Int, heldout: Int = 0, others: [PromptTeacher] = []) -> Exchange {
        var plan = plan(steps: 1, prompts: 1, samples: 1, heldout: heldout)
        for index in plan.prompts.indices where !others.isEmpty {
            plan.prompts[index].share = 1 - others.reduce(0) { $0 + $1.share }
            plan.prompts[index].others = others
        }
        plan.topTokens = topTokens
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t")
        options.vocabularySize = 50
        return Exchange(plan: plan, options: options, epoch: 9)
    }

    private func joinScorer(
        _ exchange: inout Exchange, most: UInt32, of teacher: String = "default", as peer: PeerID = ExchangeTests.scorer
    ) -> [Exchange.Action] {
        let hello = Hello(
            role: .scorer, name: peer.description, tokenizerFingerprint: "t", teachers: [teacher], processID: 1,
            mostTopTokens: most)
        let joined = exchange.receive(.hello(hello), from: peer, now: .zero)
        return joined + exchange.receive(.leaseRequest(LeaseRequest(count: 9, epoch: 9)), from: peer, now: .zero)
    }

    private func requests(_ actions: [Exchange.Action]) -> [GradeRequest] {
        sent(actions).flatMap { message -> [GradeRequest] in
            if case .scoreGrant(let grant) = message { grant.tasks.map(\.request) } else { [] }
        }
    }

    /// Lists k tokens of three positions that together have half of the probability.
    private func top(_ count: Int, from first: Int32 = 0) -> TopTokens {
        let each = -Float(count * 2).logarithm
        return TopTokens(
            count: count, ids: (0..<3).flatMap { _ in (0..<Int32(count)).map { $0 + first } },
            logprobs: [Float](repeating: each, count: 3 * count),
            tails: [Float](repeating: -Float(2).logarithm, count: 3))
    }

    private func handIn(_ exchange: inout Exchange, _ tasks: [RolloutTask]) -> [Exchange.Action] {
        exchange.receive(
            .trajectories(Trajectories(trajectories: tasks.map { response($0) }, epoch: 9)), from: Self.worker,
            now: .zero)
    }

    private func deliver(
        _ exchange: inout Exchange, _ id: RolloutID, _ top: TopTokens?, from peer: PeerID = ExchangeTests.scorer
    ) -> [Exchange.Action] {
        let score = Score(id: id, kind: .train, logprobs: [-1, -2, -3], top: top)
        defer { #expect(exchange.audit() == nil) }
        return exchange.receive(.scores(Scores(scores: [score], epoch: 9)), from: peer, now: .zero)
    }

    @Test func aScorerThatCannotIsRefusedWhereItMatters() throws {
        for (needed, most, isWelcome) in [(0, 0, true), (4, 4, true), (4, 1024, true), (4, 3, false), (4, 0, false)] {
            var exchange = exchange(topTokens: needed)
            let answers = sent(joinScorer(&exchange, most: UInt32(most)))
            let reject = answers.compactMap { if case .reject(let reject) = $0 { reject } else { nil } }.first
            #expect((reject == nil) == isWelcome)
            #expect(reject.map { $0.code == .unsuitableTeacher && $0.message.contains("objective.top_k") } ?? true)
        }
        // A rollout worker lists nothing, and need not.
        var exchange = exchange(topTokens: 4)
        #expect(join(&exchange, Self.worker, .rollout, window: 9).count == 1)
    }

    @Test func whatIsTrainedOnAsksForMore() throws {
        var exchange = exchange(topTokens: 4, heldout: 1)
        exchange.beginEvaluation()
        let tasks = join(&exchange, Self.worker, .rollout, window: 9)
        _ = joinScorer(&exchange, most: 1024)
        let actions = handIn(&exchange, tasks)
        #expect(requests(actions) == [.sampled, .top(4, below: 50)])
        let id = try #require(tasks.first { $0.kind == .train }).id
        _ = deliver(&exchange, id, top(4))
        #expect(exchange.batch()?.first?.top == top(4))
    }

    /// Each of a prompt's teachers lists tokens of its own, which come with its share.
    @Test func eachOfSeveralTeachersLists() throws {
        let second = PeerID("second")
        var exchange = exchange(topTokens: 4, others: [PromptTeacher(label: "other", share: 0.75)])
        let tasks = join(&exchange, Self.worker, .rollout, window: 9)
        _ = joinScorer(&exchange, most: 4)
        _ = joinScorer(&exchange, most: 4, of: "other", as: second)
        #expect(requests(handIn(&exchange, tasks)) == [.top(4, below: 50)])
        // Whoever is not asked yet is not heard.
        _ = deliver(&exchange, tasks[0].id, top(4), from: Self.scorer)
        _ = deliver(&exchange, tasks[0].id, top(4, from: 20), from: second)
        if exchange.batch() == nil { _ = deliver(&exchange, tasks[0].id, top(4), from: Self.scorer) }
        let scored = try #require(exchange.batch()?.first)
        #expect(scored.top == nil && scored.lists.map(\.share) == [0.25, 0.75])
        #expect(scored.lists.map(\.top) == [top(4), top(4, from: 20)])
    }

    @Test func listsThatDoNotFitAreInvalid() throws {
        let wrong: [(TopTokens?, String)] = [
            (nil, "lists no tokens"), (top(3), "listed tokens"), (top(4, from: 47), "ascending"),
            (
                TopTokens(
                    count: 4, ids: [0, 1, 3, 2] + top(4).ids.dropFirst(4), logprobs: top(4).logprobs,
                    tails: top(4).tails), "ascending"
            ),
            (
                TopTokens(
                    count: 4, ids: top(4).ids, logprobs: top(4).logprobs.map { $0 + 0.2 }, tails: top(4).tails),
                "add up to"
            ),
        ]
        for (list, reason) in wrong {
            var exchange = exchange(topTokens: 4)
            let tasks = join(&exchange, Self.worker, .rollout, window: 9)
            _ = joinScorer(&exchange, most: 4)
            _ = handIn(&exchange, tasks)
            let actions = deliver(&exchange, tasks[0].id, list)
            let notes = actions.compactMap { if case .note(let note) = $0 { note.text } else { nil } }
            #expect(notes.contains { $0.contains(reason) }, "\(notes)")
            #expect(exchange.batch() == nil && exchange.counters.invalid == 1)
            // It is issued again, and right ones are taken.
            #expect(requests(actions) == [.top(4, below: 50)])
            _ = deliver(&exchange, tasks[0].id, top(4))
            #expect(exchange.batch()?.count == 1)
        }
    }

    /// They are tried again, as grades are, then taken for the step to be judged.
    @Test func listsWithoutNumbersAreTriedAgain() throws {
        var exchange = exchange(topTokens: 4)
        let tasks = join(&exchange, Self.worker, .rollout, window: 9)
        _ = joinScorer(&exchange, most: 4)
        _ = handIn(&exchange, tasks)
        let spoilt = TopTokens(
            count: 4, ids: top(4).ids, logprobs: top(4).logprobs, tails: [-1, .nan, -1])
        for attempt in 1...exchange.options.attemptLimit {
            #expect(exchange.batch() == nil, "\(attempt)")
            _ = deliver(&exchange, tasks[0].id, spoilt)
        }
        let batch = try #require(exchange.batch())
        #expect(batch.count == 1 && !batch[0].isFinite)
        #expect(StepGuard().flaw(in: batch)?.kind == .notFinite)
    }

    /// What nobody asked for is not kept.
    @Test func listsThatNobodyAskedForAreDropped() throws {
        var exchange = exchange(topTokens: 0)
        let tasks = join(&exchange, Self.worker, .rollout, window: 9)
        _ = joinScorer(&exchange, most: 4)
        _ = handIn(&exchange, tasks)
        _ = deliver(&exchange, tasks[0].id, top(4))
        let batch = try #require(exchange.batch())
        #expect(batch[0].top == nil && batch[0].teacherLogprobs == [-1, -2, -3])
    }
}

extension Float {
    fileprivate var logarithm: Float { Float(log(Double(self))) }
}
