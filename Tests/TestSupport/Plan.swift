import Distillation
import Exchange
import Wire

/// The plan of a small run: prompts of two ids, responses of up to six tokens.
package func plan(
    steps: UInt64 = 8, prompts: Int = 3, samples: Int = 2, maxStaleness: UInt64 = 0, heldout: Int = 3,
    teachers: [String?] = ["default"], seed: UInt64 = 7
) -> RunPlan {
    RunPlan(
        prompts: (0..<11).map { Prompt(ids: [1, Int32($0)], teacher: teachers[$0 % teachers.count]) },
        heldout: (0..<heldout).map { Prompt(ids: [2, Int32($0)], teacher: teachers[$0 % teachers.count]) },
        seed: seed, steps: steps, promptsPerStep: prompts, samplesPerPrompt: samples, maxStaleness: maxStaleness,
        evaluationEvery: 4,
        sampling: SamplingSettings(maxTokens: 6, temperature: 1, topP: 1, topK: 0, stopTokenIDs: [0]))
}
