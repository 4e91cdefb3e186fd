import Distillation
import Wire

/// Answers the held-out prompts of a run in the learner's own process, with the weights that are trained: where no
/// worker has them.
public struct HeldoutEvaluator: Sendable {
    private let sampler: any RolloutBackend
    private let judge: ResponseJudge

    /// - Parameters:
    ///   - sampler: takes the weights that are trained; one evaluation at a time.
    ///   - judge: judges responses whose prompts have verifiers.
    public init(sampler: any RolloutBackend, judge: ResponseJudge) {
        self.sampler = sampler
        self.judge = judge
    }

    /// The judged responses to the held-out prompts of `plan`, in their order: a function of the weights and the plan.
    /// - Parameters:
    ///   - version: of the model's present weights.
    ///   - isStopped: asked between tokens.
    /// - Returns: nil when it was stopped.
    func evaluate(
        _ model: any TrainedModel, _ plan: RunPlan, version: UInt64, isolation: isolated (any Actor)? = #isolation,
        isStopped: () -> Bool
    ) async throws -> [ScoredTrajectory]? {
        let weights = try await model.withSnapshot { $0 }
        try await sampler.replaceWeights(weights.bytes, elementType: weights.elementType, version: version)
        let tasks = plan.heldout.enumerated().map { index, prompt in
            RolloutTask(
                id: RolloutID(group: version * UInt64(plan.heldout.count) + UInt64(index), sample: 0),
                kind: .evaluation, promptIDs: prompt.ids, teacher: "", sampling: plan.evaluationSampling,
                seed: TaskSeed.evaluation(run: plan.seed, prompt: index), minimumVersion: version, leaseID: 0)
        }
        try await sampler.submit(tasks)
        var done: [Trajectory] = []
        while done.count < tasks.count {
            done += try await sampler.advance()
            guard !isStopped() else {
                await sampler.cancel(Set(tasks.map(\.item)))
                return nil
            }
        }
        let responses = done.sorted { $0.id < $1.id }.map { ScoredTrajectory(trajectory: $0, teacherLogprobs: []) }
        let judge = judge
        return await onThread("opd-judge") { judge.judged(responses, prompts: plan.heldout) }
    }
}
