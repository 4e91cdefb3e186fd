import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// Runs that need a teacher's last hidden states.
extension ExchangeTests {
    private static let head = SharedHead(vocabularySize: 50, hiddenSize: 4, format: .bf16, fingerprint: "bf16 50 4 x")

    private func exchange(heads: [String: SharedHead], heldout: Int = 0) -> Exchange {
        var plan = plan(steps: 1, prompts: 1, samples: 1, heldout: heldout)
        plan.heads = heads
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t")
        options.vocabularySize = 50
        return Exchange(plan: plan, options: options, epoch: 9)
    }

    private func joinScorer(_ exchange: inout Exchange, fingerprint: String?) -> [Exchange.Action] {
        var hello = Hello(
            role: .scorer, name: "scorer", tokenizerFingerprint: "t", teachers: ["default"], processID: 1,
            mostTopTokens: 1024)
        if let fingerprint {
            var teacher = TeacherDescription()
            teacher.hiddenSize = 4
            teacher.headFingerprint = fingerprint
            hello.teacher = teacher
        }
        let joined = exchange.receive(.hello(hello), from: Self.scorer, now: .zero)
        return joined
            + exchange.receive(.leaseRequest(LeaseRequest(count: 9, epoch: 9)), from: Self.scorer, now: .zero)
    }

    private func requests(_ actions: [Exchange.Action]) -> [GradeRequest] {
        sent(actions).flatMap { message -> [GradeRequest] in
            if case .scoreGrant(let grant) = message { grant.tasks.map(\.request) } else { [] }
        }
    }

    /// Three positions' states.
    private func states(_ size: Int = 4, count: Int = 3, first: UInt16 = 0) -> HiddenStates {
        HiddenStates(
            size: size, numbers: .bf16([first] + [UInt16](repeating: 0x3f80, count: size * count - 1)))
    }

    private func handIn(_ exchange: inout Exchange, _ tasks: [RolloutTask]) -> [Exchange.Action] {
        exchange.receive(
            .trajectories(Trajectories(trajectories: tasks.map { response($0) }, epoch: 9)), from: Self.worker,
            now: .zero)
    }

    private func deliver(
        _ exchange: inout Exchange, _ id: RolloutID, _ hidden: HiddenStates?
    ) -> [Exchange.Action] {
        let score = Score(id: id, kind: .train, logprobs: [-1, -2, -3], hidden: hidden)
        defer { #expect(exchange.audit() == nil) }
        return exchange.receive(.scores(Scores(scores: [score], epoch: 9)), from: Self.scorer, now: .zero)
    }

    @Test func aScorerWithAnotherHeadIsRefusedWhereItMatters() {
        let right = Self.head.fingerprint
        for (isNeeded, fingerprint, expected) in [
            (false, nil, nil), (true, right, nil), (true, nil, "sends no last hidden states"),
            (true, "bf16 50 4 y", "give both the same files"),
        ] as [(Bool, String?, String?)] {
            var exchange = exchange(heads: isNeeded ? ["default": Self.head] : [:])
            let answers = sent(joinScorer(&exchange, fingerprint: fingerprint))
            let reject = answers.compactMap { if case .reject(let reject) = $0 { reject } else { nil } }.first
            #expect((reject == nil) == (expected == nil), "\(String(describing: fingerprint))")
            #expect(
                reject.map { $0.code == .unsuitableTeacher && $0.message.contains(expected ?? "?") } ?? true,
                "\(String(describing: reject))")
        }
        // A teacher of another name may have any head, and a worker has none.
        var exchange = exchange(heads: ["other": Self.head])
        #expect(
            sent(joinScorer(&exchange, fingerprint: "z")).allSatisfy { if case .reject = $0 { false } else { true } })
        #expect(join(&exchange, Self.worker, .rollout, window: 9).count == 1)
    }

    @Test func whatIsTrainedOnAsksForStates() throws {
        var exchange = exchange(heads: ["default": Self.head], heldout: 1)
        exchange.beginEvaluation()
        let tasks = join(&exchange, Self.worker, .rollout, window: 9)
        _ = joinScorer(&exchange, fingerprint: Self.head.fingerprint)
        let actions = handIn(&exchange, tasks)
        #expect(requests(actions) == [.sampled, .hidden])
        let id = try #require(tasks.first { $0.kind == .train }).id
        _ = deliver(&exchange, id, states())
        #expect(exchange.batch()?.first?.hidden == states())
    }

    @Test func statesThatDoNotFitAreInvalid() {
        let wrong: [(HiddenStates?, String)] = [
            (nil, "no hidden states"), (states(3), "states of 3 for 3 tokens of 4"),
            (states(4, count: 2), "8 numbers in hidden states of 4 for 3 tokens"),
            (HiddenStates(size: 4, numbers: .f32([Float](repeating: 1, count: 12))), "are f32, not bf16"),
        ]
        for (hidden, reason) in wrong {
            var exchange = exchange(heads: ["default": Self.head])
            let tasks = join(&exchange, Self.worker, .rollout, window: 9)
            _ = joinScorer(&exchange, fingerprint: Self.head.fingerprint)
            _ = handIn(&exchange, tasks)
            let actions = deliver(&exchange, tasks[0].id, hidden)
            let notes = actions.compactMap { if case .note(let note) = $0 { note.text } else { nil } }
            #expect(notes.contains { $0.contains(reason) }, "\(notes)")
            #expect(exchange.batch() == nil && exchange.counters.invalid == 1)
            // It is issued again, and right ones are taken.
            #expect(requests(actions) == [.hidden])
            _ = deliver(&exchange, tasks[0].id, states())
            #expect(exchange.batch()?.count == 1)
        }
    }

    /// As with grades: tried again, then taken for the step to be judged.
    @Test func statesWithoutNumbersAreTriedAgain() throws {
        var exchange = exchange(heads: ["default": Self.head])
        let tasks = join(&exchange, Self.worker, .rollout, window: 9)
        _ = joinScorer(&exchange, fingerprint: Self.head.fingerprint)
        _ = handIn(&exchange, tasks)
        for attempt in 1...exchange.options.attemptLimit {
            #expect(exchange.batch() == nil, "\(attempt)")
            _ = deliver(&exchange, tasks[0].id, states(first: 0x7fc0))
        }
        let batch = try #require(exchange.batch())
        #expect(batch.count == 1 && !batch[0].isFinite)
        #expect(StepGuard().flaw(in: batch)?.kind == .notFinite)
    }

    /// What nobody asked for is not kept.
    @Test func statesThatNobodyAskedForAreDropped() throws {
        var exchange = exchange(heads: [:])
        let tasks = join(&exchange, Self.worker, .rollout, window: 9)
        _ = joinScorer(&exchange, fingerprint: "any")
        _ = handIn(&exchange, tasks)
        _ = deliver(&exchange, tasks[0].id, states())
        let batch = try #require(exchange.batch())
        #expect(batch[0].hidden == nil && batch[0].teacherLogprobs == [-1, -2, -3])
    }
}
