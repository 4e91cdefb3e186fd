import Compute
import Distillation
import Generation
import Models
import Rules
import TestSupport
import Testing
import Training
import Transformers

/// Sampling, teacher-forced scoring and the learner's forward give the same log-probability to the last bit.
@Suite struct BitEqualityTests {
    struct Variant: CustomTestStringConvertible, Sendable {
        let name: String
        let configuration: ModelConfiguration
        let type: ElementType
        var testDescription: String { "\(name) \(type.rawValue)" }
    }

    static let variants: [Variant] = [
        (
            "grouped heads, tied",
            ModelConfiguration(
                family: .llama, vocabularySize: 1543, hiddenSize: 96, intermediateSize: 200, layerCount: 3,
                headCount: 6, keyValueHeadCount: 2, headDimension: 16, maxPositions: 512, tiedEmbeddings: true)
        ),
        (
            "qk-norm, untied",
            ModelConfiguration(
                family: .qwen3, vocabularySize: 700, hiddenSize: 64, intermediateSize: 176, layerCount: 2,
                headCount: 4, keyValueHeadCount: 2, headDimension: 32, maxPositions: 512, qkNorm: true)
        ),
        (
            "biases",
            ModelConfiguration(
                family: .qwen2, vocabularySize: 320, hiddenSize: 56, intermediateSize: 112, layerCount: 2,
                headCount: 7, keyValueHeadCount: 1, headDimension: 8, maxPositions: 512, attentionInputBias: true)
        ),
    ].flatMap { name, configuration in
        [ElementType.f32, .bf16].map { Variant(name: name, configuration: configuration, type: $0) }
    }

    @Test(arguments: variants + families, [0, 70])
    func samplerScorerAndLearnerAgreeOverRandomBatchMixes(_ variant: Variant, system: Int) throws {
        var random = SeededRandom(seed: 7)
        let parameters = randomParameters(variant.configuration, seed: 11)
        var reference: [UInt64: CompletedSample] = [:]
        for (threads, slots) in [(1, 1), (2, 5), (2, 32)] {
            let model = LanguageModel(
                configuration: variant.configuration, parameters: parameters, type: variant.type,
                context: ComputeContext(threads: threads))
            var fixed = SeededRandom(seed: 3)
            let requests = randomRequests(variant.configuration, groups: 7, system: system, using: &fixed)
            let engine = GenerationEngine(model: model, slots: slots)
            // Submitting in another order and in dribs changes who shares a batch with whom.
            var pending = slots == 1 ? requests : shuffledGroups(requests, using: &random)
            var completed: [CompletedSample] = []
            while !pending.isEmpty || engine.activeCount + engine.waitingCount > 0 {
                let count = min(pending.count, Int.random(in: 1...9, using: &random))
                try engine.submit(Array(pending.prefix(count)))
                pending.removeFirst(count)
                for _ in 0..<Int.random(in: 1...20, using: &random) { completed += engine.step() }
            }
            #expect(completed.count == requests.count)
            for sample in completed {
                if let earlier = reference[sample.id] {
                    #expect(sample.ids == earlier.ids)
                    #expect(sample.logprobs.map(\.bitPattern) == earlier.logprobs.map(\.bitPattern))
                } else {
                    reference[sample.id] = sample
                }
            }
        }
        var fixed = SeededRandom(seed: 3)
        let requests = randomRequests(variant.configuration, groups: 7, system: system, using: &fixed)
        for (threads, budget) in [(1, 64), (2, 300), (2, 4096)] {
            let order = requests.shuffled(using: &random)
            let model = LanguageModel(
                configuration: variant.configuration, parameters: parameters, type: variant.type,
                context: ComputeContext(threads: threads))
            let sequences = order.map {
                TrainingSequence(promptIDs: $0.promptIDs, responseIDs: reference[$0.id]!.ids, reading: .drawn)
            }
            let scores = try ScoringEngine(model: model, tokenBudget: budget).score(sequences.map(\.tokens))
            let trainer = Trainer(
                configuration: variant.configuration,
                masters: randomParameters(variant.configuration, seed: 11), type: variant.type, threads: threads,
                tokenBudget: budget)
            let evaluations = trainer.computeGradients(sequences) { _, evaluation in
                evaluation.logprobs.map { _ in 0 }
            }
            for (index, request) in order.enumerated() {
                let sampled = reference[request.id]!.logprobs.map(\.bitPattern)
                #expect(scores[index].map(\.bitPattern) == sampled)
                #expect(evaluations[index].logprobs.map(\.bitPattern) == sampled)
            }
        }
    }

    @Test(arguments: variants + families, [0, 70])
    func trainingOnOneAndTwoThreadsEndsInTheSameBits(_ variant: Variant, system: Int) throws {
        var weights: [[UInt32]] = []
        for threads in [1, 2] {
            var fixed = SeededRandom(seed: 5)
            let requests = randomRequests(variant.configuration, groups: 5, system: system, using: &fixed)
            let trainer = Trainer(
                configuration: variant.configuration,
                masters: randomParameters(variant.configuration, seed: 2), type: variant.type, threads: threads,
                tokenBudget: 256)
            for step in 0..<2 {
                let statistics = trainer.step(
                    requests.map {
                        TrainingSequence(promptIDs: $0.promptIDs, responseIDs: Array($0.promptIDs.reversed()))
                    }, learningRate: 1e-3
                ) { _, evaluation in evaluation.logprobs.map { -0.01 * Float(step + 1) - 0.001 * $0 } }
                #expect(statistics.applied)
            }
            weights.append(trainer.masters.flat.floats().map(\.bitPattern))
        }
        #expect(weights[0] == weights[1])
    }

    /// A gradient that is no number, or whose squares are none, changes nothing, and neither does a step called off.
    @Test(arguments: [Float.nan, .infinity, 3e38, 1e25, 0])
    func aBadStepLeavesEveryBitAsItWas(coefficient: Float) throws {
        let variant = Self.variants[0]
        var fixed = SeededRandom(seed: 5)
        let sequences = randomRequests(variant.configuration, groups: 3, system: 0, using: &fixed).map {
            TrainingSequence(promptIDs: $0.promptIDs, responseIDs: Array($0.promptIDs.reversed()))
        }
        let trainer = Trainer(
            configuration: variant.configuration, masters: randomParameters(variant.configuration, seed: 2),
            type: variant.type, threads: 1, options: OptimizerOptions(clipGradNorm: 0), tokenBudget: 256)
        func bits() -> [[UInt32]] {
            let tensors: [Tensor] = [trainer.masters.flat, trainer.firstMoment.flat, trainer.secondMoment.flat]
            return tensors.map { tensor in tensor.floats().map { $0.bitPattern } }
        }
        func step(_ coefficient: Float, proceeds: Bool = true, learningRate: Float = 1e-3) -> Bool {
            let result = trainer.step(sequences, learningRate: learningRate, beforeUpdate: { proceeds }) {
                $1.logprobs.map { _ in coefficient }
            }
            #expect(result.leavesFinite == learningRate.isFinite)
            return result.applied
        }
        #expect(step(-0.01))
        let before = bits()
        #expect(!step(coefficient, proceeds: coefficient != 0))
        #expect(bits() == before && trainer.stepCount == 1)
        #expect(trainer.isFinite && trainer.hasFiniteMoments)
        #expect(step(-0.01))
        #expect(bits() != before)
        #expect(step(-0.01, learningRate: .infinity) && !trainer.isFinite)
        trainer.masters.flat.f32[3] = .nan
        trainer.secondMoment.flat.f32[4] = .infinity
        #expect(!trainer.isFinite && !trainer.hasFiniteMoments)
    }

    /// What sequences begin with in common has the gradient of all of them.
    @Test(
        "shared rows give the gradient of separate ones", arguments: (variants + families).filter { $0.type == .f32 },
        [0, 20, 70])
    func sharedGradient(_ variant: Variant, system: Int) throws {
        var fixed = SeededRandom(seed: 8)
        let sequences = randomRequests(variant.configuration, groups: 5, system: system, using: &fixed).map {
            TrainingSequence(promptIDs: $0.promptIDs, responseIDs: Array($0.promptIDs.reversed()))
        }
        // A budget of one token makes a micro-batch of every sequence.
        let gradients = [1, 1 << 20].map { budget in
            let trainer = Trainer(
                configuration: variant.configuration, masters: randomParameters(variant.configuration, seed: 2),
                type: .f32, threads: 2, tokenBudget: budget)
            _ = trainer.computeGradients(sequences) { index, evaluation in
                evaluation.logprobs.indices.map { Float(index % 3 - 1) * 0.1 + Float($0 % 5) * 0.01 }
            }
            return trainer.gradients
        }
        for entry in gradients[0].layout.entries {
            let want = gradients[0].tensor(entry.spec.name)!.floats()
            let got = gradients[1].tensor(entry.spec.name)!.floats()
            let error = zip(got, want).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }.squareRoot()
            let norm = want.reduce(0.0) { $0 + Double($1 * $1) }.squareRoot()
            #expect(error <= 1e-4 * norm, "\(entry.spec.name): \(error) of \(norm)")
        }
    }

    /// Whatever the last step left is gone, in one micro-batch and in several.
    @Test(arguments: variants + families, [1, 1 << 20])
    func gradientsAreWrittenAnew(_ variant: Variant, tokenBudget: Int) {
        var fixed = SeededRandom(seed: 8)
        let sequences = randomRequests(variant.configuration, groups: 3, using: &fixed).map {
            TrainingSequence(promptIDs: $0.promptIDs, responseIDs: Array($0.promptIDs.reversed()))
        }
        let trainer = Trainer(
            configuration: variant.configuration, masters: randomParameters(variant.configuration, seed: 2),
            type: variant.type, threads: 2, tokenBudget: tokenBudget)
        var bits: [[UInt32]] = []
        for _ in 0..<2 {
            for entry in trainer.gradients.layout.entries { trainer.gradients.tensor(entry).fill(.nan) }
            _ = trainer.computeGradients(sequences) { _, evaluation in evaluation.logprobs.map { _ in -0.01 } }
            let values = trainer.gradients.flat.floats()
            #expect(values.allSatisfy(\.isFinite) && values.contains { $0 != 0 })
            bits.append(values.map(\.bitPattern))
        }
        #expect(bits[0] == bits[1])
        _ = trainer.computeGradients([]) { _, _ in [] }
        #expect(trainer.gradients.flat.floats().allSatisfy { $0 == 0 })
    }

    @Test(arguments: variants + families)
    func logitsKeptOrComputedAgainGiveOneGradient(_ variant: Variant) throws {
        var fixed = SeededRandom(seed: 6)
        let sequences = randomRequests(variant.configuration, groups: 5, using: &fixed).enumerated().map {
            TrainingSequence(
                promptIDs: $1.promptIDs, responseIDs: Array($1.promptIDs.reversed()),
                temperature: $0 % 2 == 0 ? 1 : 0.7)
        }
        let longest = sequences.map(\.responseIDs.count).max()!
        var runs: [(evaluations: [ResponseEvaluation], gradient: [Float])] = []
        for rows in [nil, longest, longest - 1, 0] {
            let trainer = Trainer(
                configuration: variant.configuration, masters: randomParameters(variant.configuration, seed: 2),
                type: variant.type, threads: 2)
            if let rows { trainer.mostLogitRows = rows }
            for entry in trainer.gradients.layout.entries { trainer.gradients.tensor(entry).fill(.nan) }
            let evaluations = trainer.computeGradients(sequences) { $1.logprobs.map { 0.01 * $0 } }
            runs.append((evaluations, trainer.gradients.flat.floats()))
        }
        let norm = runs[0].gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(norm.isFinite && norm > 0)
        for run in runs.dropFirst() {
            #expect(run.evaluations == runs[0].evaluations)
            let distance = zip(run.gradient, runs[0].gradient).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            #expect(distance.squareRoot() < norm * (variant.type == .f32 ? 1e-5 : 1e-3))
        }
    }

    @Test(arguments: variants + families)
    func newWeightsByBroadcastEqualTheLearnersOwn(_ variant: Variant) throws {
        var fixed = SeededRandom(seed: 9)
        let requests = randomRequests(variant.configuration, groups: 3, using: &fixed)
        let trainer = Trainer(
            configuration: variant.configuration, masters: randomParameters(variant.configuration, seed: 4),
            type: variant.type, threads: 2)
        let sequences = requests.map {
            TrainingSequence(
                promptIDs: $0.promptIDs, responseIDs: Array($0.promptIDs.reversed()), reading: .drawn)
        }
        _ = trainer.step(sequences, learningRate: 1e-2) { _, evaluation in evaluation.logprobs.map { _ in -0.01 } }
        let model = LanguageModel(
            configuration: variant.configuration, parameters: randomParameters(variant.configuration, seed: 4),
            type: variant.type, context: ComputeContext(threads: 1))
        let weights = ParameterBuffer(layout: trainer.broadcastLayout)
        trainer.writeBroadcast(into: UnsafeMutableRawBufferPointer(mutating: weights.bytes))
        model.replaceWeights(weights.bytes, owner: weights)
        let scores = try ScoringEngine(model: model).score(sequences.map(\.tokens))
        let evaluations = trainer.computeGradients(sequences) { _, evaluation in
            evaluation.logprobs.map { _ in 0 }
        }
        #expect(scores == evaluations.map(\.logprobs))
    }
}
