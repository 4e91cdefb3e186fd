import Distillation
import Wire

/// What a run does, as far as the exchange is concerned: prompts, shapes and bounds.
package struct RunPlan: Sendable {
    package var prompts: [Prompt]
    /// Held-out prompts; none: no evaluation.
    package var heldout: [Prompt]
    package var seed: UInt64
    /// Whether every pass over the prompts has an order of its own.
    package var shuffle = true
    /// Training steps of the whole run.
    package var steps: UInt64
    /// P: groups (prompts) a step.
    package var promptsPerStep: Int
    /// S: rollouts a group.
    package var samplesPerPrompt: Int
    /// How many versions behind the learner a token's weights may be when it is trained on.
    package var maxStaleness: UInt64 = 0
    /// Steps that are sampled before their turn where the sampling weights never change, so that nothing gets stale; nil:
    /// what `maxStaleness` allows.
    package var stepsAhead: UInt64?
    /// The most probable tokens of their teachers that come with the grades of training rollouts; 0: none.
    package var topTokens = 0
    /// The heads of the teachers whose last hidden states come with the grades of training rollouts, by their names.
    package var heads: [String: SharedHead] = [:]
    /// Steps after which teachers that are the student's own earlier self take its weights, by their names.
    package var refreshes: [String: UInt64] = [:]
    /// Those of them whose weights are a moving average of the student's.
    package var averages: Set<String> = []
    /// Identity of the environment in which rollouts are episodes; nil: they are responses of one turn.
    package var environment: String?
    /// Steps between evaluations; 0: none.
    package var evaluationEvery: UInt64 = 0
    package var sampling: SamplingSettings
    /// How held-out responses are sampled.
    package var evaluationSampling: SamplingSettings

    /// Tokens of the longest training prompt that one of these teachers samples, with the longest response.
    package func longestSequence(of samplers: [String]) -> Int {
        prompts.filter { $0.sampler.map(samplers.contains) ?? false }
            .map { $0.idsForTeacher.count + min(sampling.maxTokens, $0.room) }.max() ?? 0
    }

    /// Tokens of the longest prompt that only one of these teachers is shown, with the longest response to it; 0: none
    /// is.
    package func longestView(of teachers: [String]) -> Int {
        let own = [(prompts, sampling), (heldout, evaluationSampling)]
        return own.flatMap { prompts, sampling in
            prompts.flatMap { prompt in
                prompt.graders.filter { teachers.contains($0.label) }.compactMap { teacher in
                    teacher.view.map { $0.ids.count + min(sampling.maxTokens, prompt.room) }
                }
            }
        }.max() ?? 0
    }

    package init(
        prompts: [Prompt], heldout: [Prompt] = [], seed: UInt64, steps: UInt64, promptsPerStep: Int,
        samplesPerPrompt: Int, maxStaleness: UInt64 = 0, evaluationEvery: UInt64 = 0, sampling: SamplingSettings,
        evaluationSampling: SamplingSettings? = nil
    ) {
        self.prompts = prompts
        self.heldout = heldout
        self.seed = seed
        self.steps = steps
        self.promptsPerStep = promptsPerStep
        self.samplesPerPrompt = samplesPerPrompt
        self.maxStaleness = maxStaleness
        self.evaluationEvery = evaluationEvery
        self.sampling = sampling
        self.evaluationSampling = evaluationSampling ?? sampling
    }

    /// Whether the weights of `version` are evaluated: the first, the last, and every so many between.
    package func evaluates(version: UInt64) -> Bool {
        evaluationEvery > 0 && !heldout.isEmpty && (version == steps || version % evaluationEvery == 0)
    }

    /// First group that must not be issued yet at `version` completed steps.
    package func groupLimit(version: UInt64) -> UInt64 {
        min(version + (stepsAhead ?? maxStaleness) + 1, steps) * UInt64(promptsPerStep)
    }

    /// The version of the student's weights that this teacher has after so many steps; nil: its weights are its own.
    package func weightsVersion(of teacher: String, at version: UInt64) -> UInt64? {
        refreshes[teacher].map { version / $0 * $0 }
    }

    /// The versions of the student's weights that teachers have after so many steps.
    package func followedVersions(at version: UInt64) -> Set<UInt64> {
        Set(refreshes.keys.filter { !averages.contains($0) }.compactMap { weightsVersion(of: $0, at: version) })
    }

    /// The versions of the averages that teachers are after so many steps, by teacher.
    package func averageVersions(at version: UInt64) -> [String: UInt64] {
        refreshes.filter { averages.contains($0.key) }.mapValues { version / $0 * $0 }
    }

    /// The key that makes a teacher take the student's weights.
    package func followingKey(of teacher: String) -> String {
        "teachers.\(teacher).\(averages.contains(teacher) ? "ema_decay" : "refresh_every")"
    }

    /// Step that trains a group.
    package func step(of group: UInt64) -> UInt64 { group / UInt64(promptsPerStep) }

    /// Oldest weights that may sample a group's rollouts.
    package func minimumVersion(group: UInt64) -> UInt64 {
        guard stepsAhead == nil else { return 0 }
        let step = step(of: group)
        return step > maxStaleness ? step - maxStaleness : 0
    }

    /// How rollouts of a kind are sampled from a prompt, whose response is no longer than there is room for it.
    package func sampling(of kind: RolloutKind, from prompt: Prompt) -> SamplingSettings {
        switch kind {
        case .train: sampling.clipped(to: prompt.room)
        case .evaluation: evaluationSampling.clipped(to: prompt.room)
        }
    }

    /// Rollouts of one step.
    package var rolloutsPerStep: Int { promptsPerStep * samplesPerPrompt }

    /// Names of the teachers that the prompts ask for grades.
    package var teachers: Set<String> { Set((prompts + heldout).lazy.flatMap(\.graders).map(\.label)) }

    /// Whether two of these teachers grade the responses to one prompt.
    package func asksTogether(_ teachers: [String]) -> Bool {
        teachers.count > 1
            && (prompts + heldout).contains { prompt in
                !prompt.others.isEmpty && prompt.graders.count { teachers.contains($0.label) } > 1
            }
    }

    /// Names of the teachers that sample; none: the student does.
    package var samplers: Set<String> { Set(prompts.compactMap(\.sampler)) }

    /// What the books are when a step ends. What is sampled ahead of its turn counts with its step, so that the books
    /// do not depend on who was how fast.
    package func boundary(_ counts: TokenCounts) -> TokenCounts { stepsAhead == nil ? counts : counts.settled }
}
