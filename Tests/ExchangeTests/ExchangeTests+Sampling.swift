import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// How responses are asked for, and what is none.
extension ExchangeTests {
    /// A response is no longer than its prompt leaves room for, and the others may be longer.
    @Test func aPromptClipsItsResponses() {
        var runPlan = plan(prompts: 2, samples: 1, heldout: 0)
        runPlan.shuffle = false
        runPlan.prompts[0].room = 2
        runPlan.sampling.minTokens = 3
        var exchange = exchange(runPlan)
        _ = exchange.receive(hello("worker", .rollout, revision: 1), from: Self.worker, now: .zero)
        let actions = exchange.receive(
            .leaseRequest(LeaseRequest(count: 2, epoch: 9)), from: Self.worker, now: .zero)
        let tasks = rollouts(actions, Self.worker)
        #expect(tasks.map(\.sampling.maxTokens) == [2, 6])
        func refuses(_ task: RolloutTask, tokens: Int, _ finish: FinishReason = .stop) -> Bool {
            let trajectories = Trajectories(
                trajectories: [response(task, tokens: tokens, finish: finish)], epoch: 9)
            let actions = exchange.receive(.trajectories(trajectories), from: Self.worker, now: .zero)
            return actions.contains { if case .suspect = $0 { true } else { false } }
        }
        #expect(refuses(tasks[0], tokens: 3) && refuses(tasks[1], tokens: 3))
        #expect(refuses(tasks[0], tokens: 2) && !refuses(tasks[0], tokens: 2, .length) && !refuses(tasks[1], tokens: 4))
    }

    @Test func aWorkerMustKnowWhatEndsAResponse() {
        var runPlan = plan(heldout: 0)
        runPlan.sampling.stop = ["END"]
        for (revision, isRefused) in [(UInt32(0), true), (1, false)] {
            var exchange = exchange(runPlan)
            let actions = exchange.receive(
                hello("w", .rollout, revision: revision), from: Self.worker, now: .zero)
            #expect(sent(actions).contains { if case .reject = $0 { true } else { false } } == isRefused)
        }
    }
}
