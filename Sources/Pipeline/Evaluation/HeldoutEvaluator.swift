import Distillation
import Engines
import Exchange
import Locking
import Tokens
import Wire

/// Answers the held-out prompts of a run in the learner's own process, with the weights that are trained: where no
/// worker has them.
package struct HeldoutEvaluator: Sendable {
    private let sampler: any RolloutBackend & ScoringBackend
    private let judge: ResponseJudge

    /// - Parameters:
    ///   - sampler: takes the weights that are trained, samples and scores with them; one evaluation at a time.
    ///   - judge: judges responses whose prompts have verifiers.
    package init(sampler: any RolloutBackend & ScoringBackend, judge: ResponseJudge) {
        self.sampler = sampler
        self.judge = judge
    }

    /// Answers the held-out prompts of `plan`, in their order, and scores the responses given with them: a function of the
    /// weights and the plan.
    /// - Parameters:
    ///   - version: of the model's present weights.
    ///   - isStopped: asked whenever tokens were drawn.
    /// - Returns: nil when it was stopped.
    func evaluate(
        _ model: any TrainedModel, _ plan: RunPlan, version: UInt64, isolation: isolated (any Actor)? = #isolation,
        isStopped: () -> Bool
    ) async throws -> HeldoutEvaluation? {
        let place = WeightPlace(model.weightManifest, version: version)
        try await model.writeWeights(to: place)
        try await sampler.replaceWeights(place.written, place.manifest, version: version)
        let tasks = plan.heldout.enumerated().map { index, prompt in
            RolloutTask(
                id: RolloutID(group: version * UInt64(plan.heldout.count) + UInt64(index), sample: 0),
                kind: .evaluation, promptIDs: prompt.ids, sampling: plan.sampling(of: .evaluation, from: prompt),
                seed: TaskSeed.evaluation(run: plan.seed, prompt: index), minimumVersion: version, leaseID: 0)
        }
        guard let done = try await sampler.sample(tasks, isStopped: isStopped) else { return nil }
        let responses = done.map { ScoredTrajectory(trajectory: $0, teacherLogprobs: []) }
        let judge = judge
        let judged = await onThread("opd-judge") { judge.judged(responses, prompts: plan.heldout) }
        return HeldoutEvaluation(responses: judged, crossEntropy: try await crossEntropy(plan.heldout))
    }

    /// Mean of -s over the tokens of the responses that are given; nil when none is.
    private func crossEntropy(
        _ prompts: [Prompt], isolation: isolated (any Actor)? = #isolation
    ) async throws -> Double? {
        let tasks = prompts.enumerated().compactMap { index, prompt -> ScoreTask? in
            guard let response = prompt.responseIDs, !response.isEmpty else { return nil }
            return ScoreTask(
                id: RolloutID(group: UInt64(index), sample: 0), kind: .evaluation, teacher: "",
                tokens: TokenSequence(promptIDs: prompt.ids, responseIDs: response), leaseID: 0)
        }
        guard !tasks.isEmpty else { return nil }
        let logprobs = try await sampler.score(tasks)
        let sum = logprobs.reduce(0.0) { $1.reduce($0) { $0 - Double($1) } }
        return sum / Double(logprobs.reduce(0) { $0 + $1.count })
    }
}

/// What an evaluation of held-out prompts gives.
struct HeldoutEvaluation: Sendable {
    /// Graded and judged, in the order of the prompts.
    var responses: [ScoredTrajectory]
    /// Cross-entropy of the responses given with the prompts, in nats a token; nil: none is, or it is not measured.
    var crossEntropy: Double?
}
