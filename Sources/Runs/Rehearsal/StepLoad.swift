import Configuration
import Distillation
import Foundation
import Tokens
import Wire

/// One optimizer step's sequences as they are at their longest: prompts from the beginning of the file, responses of as
/// many tokens as they may have, made up of the prompt's.
struct StepLoad {
    /// A prompt with a response of full length.
    struct Sequence {
        var prompt: Prompt
        var responseIDs: [Int32]

        var tokens: TokenSequence { TokenSequence(promptIDs: prompt.ids, responseIDs: responseIDs) }
    }

    /// The sequences of different prompts, one of each.
    let sequences: [Sequence]
    /// How often each of them stands in a step.
    let samples: Int

    /// - Parameter examples: of the first step, where nothing is sampled.
    init(_ configuration: RunConfiguration, _ data: PreparedData, examples: [SupervisedExample]) {
        guard examples.isEmpty else {
            sequences = examples.map {
                Sequence(prompt: Prompt(ids: $0.promptIDs, teacher: nil), responseIDs: $0.responseIDs)
            }
            samples = 1
            return
        }
        sequences = (0..<configuration.data.promptsPerStep).map { place in
            let prompt = data.prompts[place % data.prompts.count]
            let count = min(configuration.sampling.maxTokens, prompt.room)
            return Sequence(prompt: prompt, responseIDs: (0..<count).map { prompt.ids[$0 % prompt.ids.count] })
        }
        samples = configuration.data.samplesPerPrompt
    }

    /// As many of the sequences as stay within a number of tokens, one at least.
    func first(tokens: Int, atMost count: Int = .max) -> [Sequence] {
        var left = tokens
        let fitting = sequences.prefix(count).prefix { sequence in
            left -= sequence.tokens.count
            return left >= 0
        }
        return fitting.isEmpty ? Array(sequences.prefix(1)) : Array(fitting)
    }
}

extension StepLoad.Sequence {
    /// A response of this sequence as it would come back, graded as if the teacher agreed nearly.
    func scored(
        group: Int, _ configuration: RunConfiguration, heads: [String: SharedHead] = [:],
        verdict: (AnswerCheck) -> Verdict
    ) -> ScoredTrajectory {
        let isGraded = prompt.teacher != nil
        let trajectory = Trajectory(
            id: RolloutID(group: UInt64(group), sample: 0), kind: .train, teacher: prompt.teacher,
            promptIDs: prompt.ids, responseIDs: responseIDs, behaviourLogprobs: responseIDs.map { _ in -1 },
            policyVersions: PolicyVersions(repeating: 0, count: responseIDs.count), finishReason: .length,
            temperature: Float(configuration.sampling.temperature))
        var scored = ScoredTrajectory(
            trajectory: trajectory, teacherLogprobs: isGraded ? responseIDs.map { _ in -1.25 } : [],
            hidden: prompt.teacher.flatMap { heads[$0] }.map { HiddenStates(zerosFor: responseIDs.count, $0) },
            verdict: prompt.check.map(verdict), sampler: prompt.sampler)
        guard isGraded, let top = top(configuration.objective.gradedTokens) else { return scored }
        let graders = prompt.graders
        if graders.count > 1 {
            scored.lists = graders.map { SharedTopTokens(share: $0.share, top: top) }
        } else {
            scored.top = top
        }
        return scored
    }

    /// Tokens that a teacher might list, all of them equally probable.
    private func top(_ count: Int) -> TopTokens? {
        guard count > 0 else { return nil }
        let each = -Float(log(Double(count + 1))), positions = responseIDs.count
        return TopTokens(
            count: count, ids: (0..<positions).flatMap { _ in 0..<Int32(count) },
            logprobs: [Float](repeating: each, count: positions * count),
            tails: [Float](repeating: each, count: positions))
    }

    /// The sequence as one of its teachers grades it.
    /// - Parameter isRetokenized: whether that one has another tokenizer: its response is made up of its own prompt.
    func scoreTask(
        group: Int, of teacher: String, _ request: GradeRequest = .sampled, isRetokenized: Bool = false
    ) -> ScoreTask {
        let promptIDs = prompt.ids(for: teacher)
        let response =
            isRetokenized ? responseIDs.indices.map { promptIDs[$0 % promptIDs.count] } : responseIDs
        return ScoreTask(
            id: RolloutID(group: UInt64(group), sample: 0), kind: .train, teacher: teacher,
            tokens: TokenSequence(promptIDs: promptIDs, responseIDs: response), leaseID: 0,
            request: request)
    }
}

extension HiddenStates {
    /// States of so many positions in which nothing is: their head makes all tokens equally probable.
    fileprivate init(zerosFor positions: Int, _ head: SharedHead) {
        let count = positions * head.hiddenSize
        let numbers: Numbers =
            switch head.format {
            case .bf16: .bf16([UInt16](repeating: 0, count: count))
            case .f32: .f32([Float](repeating: 0, count: count))
            }
        self.init(size: head.hiddenSize, numbers: numbers)
    }
}
