import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// Runs whose rollouts are episodes.
extension ExchangeTests {
    private func episodes(_ environment: String? = "guess", heads: [String: SharedHead] = [:]) -> Exchange {
        var plan = plan(steps: 1, prompts: 1, samples: 1, heldout: 0)
        plan.environment = environment
        plan.heads = heads
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t")
        options.vocabularySize = 50
        return Exchange(plan: plan, options: options, epoch: 9)
    }

    private func enter(_ exchange: inout Exchange, environment: String?) -> [Exchange.Action] {
        var hello = Hello(role: .rollout, name: "worker", tokenizerFingerprint: "t", processID: 1)
        hello.environment = environment
        return exchange.receive(.hello(hello), from: Self.worker, now: .zero)
            + exchange.receive(.leaseRequest(LeaseRequest(count: 9, epoch: 9)), from: Self.worker, now: .zero)
    }

    /// Tokens 0, 1 and 5 are sampled, tokens 2, 3 and 4 the environment's.
    private func episode(_ task: RolloutTask, reward: Double? = 1) -> Trajectory {
        var trajectory = response(task)
        trajectory.responseIDs = [0, 1, 2, 3, 4, 5]
        trajectory.tokens.given = [2..<5]
        trajectory.reward = reward
        return trajectory
    }

    private func deliver(_ exchange: inout Exchange, _ trajectory: Trajectory) -> [String] {
        let actions = exchange.receive(
            .trajectories(Trajectories(trajectories: [trajectory], epoch: 9)), from: Self.worker, now: .zero)
        #expect(exchange.audit() == nil)
        return actions.compactMap { if case .note(let note) = $0 { note.text } else { nil } }
    }

    @Test func aWorkerOfAnotherEnvironmentIsRefusedByName() {
        for (ours, theirs, part) in [
            ("guess", "guess", nil), (nil, nil, nil),
            ("guess", nil, "knows no environment, and this run's are in guess"),
            ("guess", "grid", "plays episodes in grid"), (nil, "grid", "this run has none"),
        ] as [(String?, String?, String?)] {
            var exchange = episodes(ours)
            let rejects = sent(enter(&exchange, environment: theirs)).compactMap { message -> String? in
                if case .reject(let reject) = message { reject.message } else { nil }
            }
            #expect(rejects.isEmpty == (part == nil))
            #expect(rejects.first.map { $0.contains(part ?? "?") } ?? true, "\(rejects)")
        }
    }

    /// What nobody sampled is in no count, and what a scorer says of it in no grade.
    @Test func onlySampledTokensCountAndAreGraded() throws {
        let head = SharedHead(vocabularySize: 50, hiddenSize: 2, format: .f32, fingerprint: "f")
        for heads in [[:], ["default": head]] {
            var exchange = episodes(heads: heads)
            let task = try #require(rollouts(enter(&exchange, environment: "guess"), Self.worker).first)
            #expect(deliver(&exchange, episode(task)).isEmpty)
            #expect(exchange.ledger.counts == TokenCounts(generated: 3, inFlight: 3))
            var teacher = TeacherDescription()
            (teacher.hiddenSize, teacher.headFingerprint) = (2, "f")
            _ = exchange.receive(
                hello("scorer", .scorer, teacher: teacher), from: Self.scorer, now: .zero)
            let granted = sent(
                exchange.receive(.leaseRequest(LeaseRequest(count: 9, epoch: 9)), from: Self.scorer, now: .zero))
            let scoring = granted.flatMap { message -> [ScoreTask] in
                if case .scoreGrant(let grant) = message { grant.tasks } else { [] }
            }
            // It reads all of it, and knows nothing of environments.
            #expect(scoring.map(\.responseIDs) == [[0, 1, 2, 3, 4, 5]] && scoring.allSatisfy(\.tokens.given.isEmpty))
            let hidden =
                heads.isEmpty ? nil : HiddenStates(size: 2, numbers: .f32((0..<12).map { Float($0) }))
            let score = Score(
                id: task.id, kind: .train, logprobs: [-1, -2, -3, -4, -5, -6], hidden: hidden)
            _ = exchange.receive(.scores(Scores(scores: [score], epoch: 9)), from: Self.scorer, now: .zero)
            let scored = try #require(exchange.batch()?.first)
            #expect(scored.teacherLogprobs == [-1, -2, -6] && scored.trajectory.reward == 1)
            #expect(
                scored.hidden?.numbers == (heads.isEmpty ? nil : HiddenStates.Numbers.f32([0, 1, 2, 3, 10, 11])))
            #expect(scored.trajectory.turns == 2 && Array(scored.trajectory.lastTurn) == [5])
            #expect(exchange.ledger.gradedTokens == 3 && exchange.audit() == nil)
            exchange.completeStep()
            #expect(exchange.ledger.counts == TokenCounts(generated: 3, trained: 3))
        }
    }

    @Test func episodesThatCannotBeAreInvalid() throws {
        for (part, change) in [
            ("follow no sampled token", { $0.tokens.given = [0..<3] }),
            ("no sampled token follows", { $0.tokens.given = [3..<6] }),
            ("differ in length", { $0.tokens.given = [2..<4] }),
            ("the reward is 2.0", { $0.reward = 2 }), ("its reward is nan", { $0.reward = .nan }),
        ] as [(String, (inout Trajectory) -> Void)] {
            var exchange = episodes()
            let task = try #require(rollouts(enter(&exchange, environment: "guess"), Self.worker).first)
            var trajectory = episode(task)
            change(&trajectory)
            let notes = deliver(&exchange, trajectory)
            #expect(notes.contains { $0.contains(part.replacing("the reward", with: "its reward")) }, "\(notes)")
            #expect(exchange.ledger.counts == TokenCounts())
        }
        var exchange = episodes(nil)
        let task = try #require(rollouts(enter(&exchange, environment: nil), Self.worker).first)
        #expect(deliver(&exchange, episode(task)).contains { $0.contains("tokens of an environment") })
        var answer = response(task)
        answer.reward = 1
        #expect(deliver(&exchange, answer).contains { $0.contains("this run has none") })
        #expect(exchange.ledger.counts == TokenCounts())
    }
}
