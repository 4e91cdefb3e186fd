import Compute
import Distillation
import Foundation
import Generation
import Models
import Testing
import Tokens
import Transformers

/// Where `make models` puts the model.
private enum InstalledModel {
    static let folder: String = {
        let models =
            ProcessInfo.processInfo.environment["OPD_MODELS"]
            ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("models").path
        return models + "/smollm2"
    }()
    static let isInstalled = FileManager.default.fileExists(atPath: folder + "/config.json")
}

/// SmolLM2-135M-Instruct against transformers in f32, when `make models` has installed it.
@Suite(.enabled(if: InstalledModel.isInstalled, "models/smollm2 is not installed; run `make models`"))
struct SmolLM2Tests {
    struct Reference: Decodable {
        struct Case: Decodable {
            let promptIds: [Int32]
            let greedyIds: [Int32]
            let logprobs: [Float]
            let top1Margin: [Float]
        }
        let cases: [Case]
    }

    static func cases() throws -> [Reference.Case] {
        let data = try Data(contentsOf: URL(fileURLWithPath: GoldenCase.goldenRoot + "/smollm2.json"))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Reference.self, from: data).cases
    }

    /// Log-probabilities are within 2e-3, greedy ids the same where the margin exceeds 0.05.
    @Test func logprobsAndGreedyIDsAreThoseOfTransformers() throws {
        let model = try LanguageModel(ModelFiles.open(InstalledModel.folder), type: .f32, threads: 2)
        let cases = try Self.cases()
        let scores = try ScoringEngine(model: model).score(cases.map { $0.promptIds + $0.greedyIds })
        for (score, golden) in zip(scores, cases) {
            let worst = zip(score, golden.logprobs).map { abs($0 - $1) }.max()!
            #expect(worst < 2e-3)
        }
        let engine = GenerationEngine(model: model, slots: cases.count)
        try engine.submit(
            cases.enumerated().map { index, golden in
                SampleRequest(
                    id: UInt64(index), promptIDs: golden.promptIds, seed: 0, sample: 0,
                    parameters: SamplingSettings(maxTokens: golden.greedyIds.count, temperature: 0))
            })
        for sample in engine.run() {
            let golden = cases[Int(sample.id)]
            for (step, id) in sample.ids.enumerated() where id != golden.greedyIds[step] {
                #expect(golden.top1Margin[step] < 0.05, "case \(sample.id), step \(step)")
                break  // After a legitimate difference the texts are different texts.
            }
        }
    }

    /// Bit for bit.
    @Test func theSamplersLogprobsInBF16AreTheScorersAndCloseToF32() throws {
        let model = try LanguageModel(ModelFiles.open(InstalledModel.folder), type: .bf16, threads: 2)
        let cases = try Self.cases()
        let engine = GenerationEngine(model: model, slots: 8)
        try engine.submit(
            cases.enumerated().flatMap { index, golden in
                (0..<2).map { sample in
                    SampleRequest(
                        id: UInt64(index * 2 + sample), promptIDs: golden.promptIds, seed: UInt64(1 + index),
                        sample: UInt32(sample), parameters: SamplingSettings(maxTokens: 40, stopTokenIDs: [2]))
                }
            })
        let samples = engine.run()
        let prompts = samples.map { cases[Int($0.id) / 2].promptIds }
        let single = try LanguageModel(ModelFiles.open(InstalledModel.folder), type: .bf16, threads: 1)
        let scores = try ScoringEngine(model: single, tokenBudget: 700).score(
            zip(prompts, samples).map { TokenSequence(promptIDs: $0, responseIDs: $1.ids) })
        for (score, sample) in zip(scores, samples) {
            #expect(score.map(\.bitPattern) == sample.logprobs.map(\.bitPattern))
        }
        let golden = try ScoringEngine(model: single).score(cases.map { $0.promptIds + $0.greedyIds })
        for (score, reference) in zip(golden, cases) {
            let mean = zip(score, reference.logprobs).map { abs($0 - $1) }.reduce(0, +) / Float(score.count)
            #expect(mean < 0.1)
        }
    }
}
