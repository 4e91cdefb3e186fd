import Compute
import Distillation
import Foundation
import Generation
import Models
import Rules
import Testing
import Tokens
import Training
import Transformers

/// Responses in which tokens stand that nobody sampled: they are read, and have no part in loss and gradient.
@Suite struct GivenTokenTests {
    private static func files(_ name: String = "mistral-window") throws -> ModelFiles {
        try ModelFiles.open(
            URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "Fixtures/golden/\(name)").path)
    }

    private static func trainer(_ type: ElementType = .f32, budget: Int = 64) throws -> Trainer {
        let files = try files()
        let trainer = Trainer(
            configuration: files.configuration, masters: try ParameterBuffer(reading: files), type: type, threads: 1,
            tokenBudget: budget)
        trainer.teacherHeads["gemma2"] = try TeacherHead(self.files("gemma2"), type: .f32, context: trainer.context)
        return trainer
    }

    private static let prompts: [[Int32]] = [[5, 9, 2], [5, 9, 2], [40, 1]]
    private static let responses: [[Int32]] = [[7, 31, 8, 3, 11], [12, 4], [6, 6, 17, 29, 30, 2]]
    private static let given: [[Range<Int>]] = [[1..<3], [], [2..<3, 4..<5]]

    private static func sequence(_ index: Int, given: [Range<Int>]) -> TrainingSequence {
        TrainingSequence(
            TokenSequence(promptIDs: prompts[index], responseIDs: responses[index], given: given), reading: .drawn)
    }

    /// Every predicted token has the log-probability that it has where all are, to the bit, and the gradient is that of a
    /// loss without the others.
    @Test(arguments: [8, 64]) func givenTokensHaveNoGradient(budget: Int) throws {
        let trainer = try Self.trainer(budget: budget)
        let whole = Self.prompts.indices.map { Self.sequence($0, given: []) }
        let apart = Self.prompts.indices.map { Self.sequence($0, given: Self.given[$0]) }
        func slope(_ index: Int, _ position: Int) -> Float { 0.1 * Float(index + 1) - 0.03 * Float(position) }
        let all = trainer.computeGradients(whole) { index, evaluation in
            let predicted = Set(apart[index].tokens.predicted.joined())
            return evaluation.logprobs.indices.map { predicted.contains($0) ? slope(index, $0) : 0 }
        }
        let expected = trainer.gradients.flat.floats()
        let some = trainer.computeGradients(apart) { index, evaluation in
            let positions = Array(apart[index].tokens.predicted.joined())
            #expect(evaluation.logprobs.count == positions.count)
            return positions.map { slope(index, $0) }
        }
        for (index, sequence) in apart.enumerated() {
            #expect(
                some[index].logprobs.map(\.bitPattern)
                    == sequence.tokens.ofPredicted(all[index].logprobs).map(\.bitPattern))
            #expect(some[index].entropies == sequence.tokens.ofPredicted(all[index].entropies))
        }
        let gradient = trainer.gradients.flat.floats()
        let largest = expected.map(abs).max() ?? 0
        let distance = zip(gradient, expected).map { abs($0 - $1) }.max() ?? .infinity
        #expect(largest > 1e-3 && distance < 1e-5 * largest)
    }

    /// Whole distributions by hidden states: positions that are left out have no divergence, and the gradients of two
    /// complementary parts add up to that of all.
    @Test func givenTokensHaveNoDivergence() throws {
        let trainer = try Self.trainer()
        trainer.comparison = TeacherComparison(HeadDivergence(.reverseKL), weight: 0.1)
        let engine = ScoringEngine(model: try LanguageModel(Self.files("gemma2"), type: .f32, threads: 1))
        let grades = try engine.grade(
            Self.prompts.indices.map { Self.sequence($0, given: []).tokens }, .hidden)
        func compute(_ given: [[Range<Int>]]) throws -> (gradient: [Float], divergences: [Int: [Double]]) {
            let sequences = try Self.prompts.indices.map { index in
                var sequence = Self.sequence(index, given: given[index])
                let hidden = try #require(grades[index].ofSampled(sequence.tokens).hidden)
                sequence.compare(with: TeacherStates(label: "gemma2", bytes: hidden.bytes))
                return sequence
            }
            var divergences: [Int: [Double]] = [:]
            _ = trainer.computeGradients(sequences, compared: { divergences[$0] = $1.divergences }) { _, evaluation in
                evaluation.logprobs.map { _ in 0 }
            }
            return (trainer.gradients.flat.floats(), divergences)
        }
        let all = try compute([[], [], []])
        let first = try compute([[2..<5], [0..<1], [0..<3]]), second = try compute([[0..<2], [1..<2], [3..<6]])
        for index in Self.prompts.indices {
            let parts = [first, second].map { $0.divergences[index] ?? [] }
            let expected = all.divergences[index] ?? []
            #expect(parts[0].count + parts[1].count == expected.count)
            #expect(Set(parts.joined()) == Set(expected))
        }
        let sum = zip(first.gradient, second.gradient).map { $0 + $1 }
        let largest = all.gradient.map(abs).max() ?? 0
        let distance = zip(sum, all.gradient).map { abs($0 - $1) }.max() ?? .infinity
        #expect(largest > 1e-4 && distance < 1e-4 * largest)
    }

    /// An episode of two turns, the second of which is sampled behind everything before it: the learner finds for every
    /// sampled token the bits that the sampler had, so that ratios are exactly 1.
    @Test(arguments: [ElementType.f32, .bf16]) func turnsHaveTheLearnersBits(_ type: ElementType) throws {
        let engine = GenerationEngine(model: try LanguageModel(Self.files(), type: type, threads: 1), slots: 4)
        var tokens = TokenSequence(promptIDs: [5, 9, 2, 44], responseIDs: [])
        var logprobs: [Float] = []
        for turn in 0..<3 {
            if turn > 0 {
                let said: [Int32] = [101, Int32(turn), 103]
                tokens.given.append(tokens.responseIDs.count..<tokens.responseIDs.count + said.count)
                tokens.responseIDs += said
            }
            var request = SampleRequest(
                id: UInt64(turn), promptIDs: tokens.ids, seed: 7, sample: 1, parameters: SamplingSettings(maxTokens: 6))
            request.firstPosition = tokens.responseIDs.count
            try engine.submit([request])
            let sample = try #require(engine.run().first)
            tokens.responseIDs += sample.ids
            logprobs += sample.logprobs
        }
        #expect(tokens.flawOfGiven == nil && tokens.predictedCount == 18 && logprobs.count == 18)
        let found = try Self.trainer(type).computeGradients([TrainingSequence(tokens, reading: .drawn)]) {
            $1.logprobs.map { _ in 0 }
        }
        #expect(found[0].logprobs.map(\.bitPattern) == logprobs.map(\.bitPattern))
    }

    /// Random numbers depend on the task and the position alone: a response that is sampled in two parts is the same one.
    @Test func drawsDependOnThePosition() throws {
        let engine = GenerationEngine(model: try LanguageModel(Self.files(), type: .f32, threads: 1), slots: 4)
        func sample(_ ids: [Int32], _ count: Int, from position: Int) throws -> CompletedSample {
            var request = SampleRequest(
                id: 1, promptIDs: ids, seed: 99, sample: 2, parameters: SamplingSettings(maxTokens: count))
            request.firstPosition = position
            try engine.submit([request])
            return try #require(engine.run().first)
        }
        let whole = try sample([5, 9, 2], 12, from: 0)
        let first = try sample([5, 9, 2], 5, from: 0), second = try sample([5, 9, 2] + first.ids, 7, from: 5)
        #expect(first.ids + second.ids == whole.ids)
        #expect((first.logprobs + second.logprobs).map(\.bitPattern) == whole.logprobs.map(\.bitPattern))
        #expect(try sample([5, 9, 2] + first.ids, 7, from: 0).ids != second.ids)
    }
}
