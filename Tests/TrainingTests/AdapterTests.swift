import Compute
import Foundation
import Generation
import Models
import Rules
import TestSupport
import Testing
import Training
import Transformers

/// Adapters: gradients, and merged weights on both sides of a broadcast.
@Suite struct AdapterTests {
    static let shapes: [AdapterShape] = [
        AdapterShape(rank: 8, alpha: 32, targets: Set(AdapterShape.Target.allCases)),
        AdapterShape(rank: 3, alpha: 1.5, targets: [.query, .value, .down]),
        AdapterShape(rank: 1, alpha: 2, targets: [.up]),
    ]

    /// A trainer whose adapters are those of a run under way: B is not zero.
    static func trainer(
        _ configuration: ModelConfiguration, _ shape: AdapterShape, type: ElementType, threads: Int = 1,
        moved: Bool = true, budget: Int = 256
    ) throws -> Trainer {
        let adapters = Adapters(layout: try AdapterLayout(configuration, shape), seed: 5)
        if moved {
            var random = SeededRandom(seed: 17)
            for entry in adapters.layout.parameters.entries where entry.spec.name.hasSuffix("lora_B.weight") {
                let values = adapters.values.tensor(entry)
                for index in 0..<values.count { values.f32[index] = Float.random(in: -0.1...0.1, using: &random) }
            }
        }
        return Trainer(
            configuration: configuration, base: randomParameters(configuration, seed: 11), adapters: adapters,
            type: type, threads: threads, options: OptimizerOptions(clipGradNorm: 0), tokenBudget: budget)
    }

    static func sequences(_ configuration: ModelConfiguration, seed: UInt64 = 8) -> [TrainingSequence] {
        var fixed = SeededRandom(seed: seed)
        return randomRequests(configuration, groups: 4, using: &fixed).map {
            TrainingSequence(
                promptIDs: $0.promptIDs, responseIDs: Array($0.promptIDs.reversed()), reading: .drawn)
        }
    }

    private static func coefficients(_ index: Int, _ evaluation: ResponseEvaluation) -> [Float] {
        evaluation.logprobs.indices.map { Float(index % 3 - 1) * 0.1 + Float($0 % 5) * 0.01 }
    }

    private static let f32Variants = BitEqualityTests.variants.filter { $0.type == .f32 }

    /// Against the gradient of the merged matrix, which full training of the merged model gives: dB = s dW Aᵀ and
    /// dA = s Bᵀ dW.
    @Test(arguments: f32Variants, shapes)
    func gradientsAreThoseOfTheMatrix(_ variant: BitEqualityTests.Variant, _ shape: AdapterShape) throws {
        let trainer = try Self.trainer(variant.configuration, shape, type: .f32)
        let adaptation = try #require(trainer.adaptation)
        let sequences = Self.sequences(variant.configuration)
        _ = trainer.computeGradients(sequences, coefficients: Self.coefficients)
        let merged = ParameterBuffer(layout: adaptation.base.layout)
        for entry in merged.layout.entries {
            let values = adaptation.adapters.merged(
                entry.spec.name, base: adaptation.base.tensor(entry), context: trainer.context)
            trainer.context.convert(from: values, to: merged.tensor(entry))
        }
        let whole = Trainer(
            configuration: variant.configuration, masters: merged, type: .f32, threads: 1, tokenBudget: 256)
        _ = whole.computeGradients(sequences, coefficients: Self.coefficients)
        var checked = 0
        for spec in variant.configuration.parameters {
            guard let (a, b) = adaptation.adapters.factors(of: spec.name) else { continue }
            let gradient = whole.gradients.tensor(spec.name)!.floats().map(Double.init)
            let names = AdapterLayout.names(adapting: spec.name)
            let (n, k, rank, s) = (spec.shape[0], spec.shape[1], shape.rank, Double(shape.scale))
            var wantA = [Double](repeating: 0, count: rank * k), wantB = [Double](repeating: 0, count: n * rank)
            let aValues = a.floats().map(Double.init), bValues = b.floats().map(Double.init)
            for row in 0..<n {
                for index in 0..<rank {
                    for column in 0..<k {
                        let d = s * gradient[row * k + column]
                        wantB[row * rank + index] += d * aValues[index * k + column]
                        wantA[index * k + column] += d * bValues[row * rank + index]
                    }
                }
            }
            for (name, want) in [(names.a, wantA), (names.b, wantB)] {
                let got = trainer.gradients.tensor(name)!.floats()
                let norm = want.reduce(0) { $0 + $1 * $1 }.squareRoot()
                let error = zip(got, want).reduce(0.0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
                #expect(error.squareRoot() < 1e-4 * norm, "\(name)")
                #expect(norm > 0)
                checked += 1
            }
        }
        #expect(checked == adaptation.adapters.layout.parameters.entries.count)
    }

    @Test(arguments: BitEqualityTests.families.filter { $0.type == .f32 })
    func gradientsOfFamiliesAreThoseOfTheMatrix(_ variant: BitEqualityTests.Variant) throws {
        try gradientsAreThoseOfTheMatrix(variant, Self.shapes[0])
    }

    @Test(arguments: BitEqualityTests.families)
    func workerAndLearnerOfFamiliesHaveTheSameWeights(_ variant: BitEqualityTests.Variant) async throws {
        try await workerAndLearnerHaveTheSameWeights(variant, Self.shapes[0])
    }

    /// The slope of the loss along each adapter's gradient is that gradient's norm.
    @Test func gradientsAreSlopes() throws {
        let files = try #require(GoldenCase.all.first).model()
        let layout = try AdapterLayout(files.configuration, Self.shapes[0])
        let adapters = Adapters(layout: layout, seed: 2)
        var random = SeededRandom(seed: 4)
        for index in 0..<adapters.values.flat.count {
            adapters.values.flat.f32[index] += Float.random(in: -0.05...0.05, using: &random)
        }
        let trainer = Trainer(
            configuration: files.configuration, base: try ParameterBuffer(reading: files), adapters: adapters,
            type: .f32, threads: 1, tokenBudget: 48)
        let sequences = [
            TrainingSequence(promptIDs: [5, 9, 2], responseIDs: [7, 31, 8, 3]),
            TrainingSequence(promptIDs: [5, 9, 2], responseIDs: [12, 4]),
            TrainingSequence(promptIDs: [40, 1], responseIDs: [6, 6, 17, 29, 30, 2]),
        ]
        func loss() -> Double {
            trainer.computeGradients(sequences) { _, evaluation in
                evaluation.logprobs.indices.map { $0 % 2 == 0 ? -0.5 : 0.25 }
            }.reduce(0) { sum, evaluation in
                sum
                    + evaluation.logprobs.enumerated().reduce(0) {
                        $0 + Double($1.element) * ($1.offset % 2 == 0 ? -0.5 : 0.25)
                    }
            }
        }
        _ = loss()
        let slopes = layout.parameters.entries.map { trainer.gradients.tensor($0).floats() }
        var checked = 0
        for (entry, direction) in zip(layout.parameters.entries, slopes) {
            let norm = direction.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            guard norm > 1e-2 else { continue }
            let values = trainer.masters.tensor(entry), original = values.floats()
            let width = min(2e-2, 1e-2 / norm)
            func lossAt(_ offset: Double) -> Double {
                for index in original.indices {
                    values.f32[index] = Float(Double(original[index]) + offset * Double(direction[index]) / norm)
                }
                trainer.repack()
                return loss()
            }
            let slope = (lossAt(width) - lossAt(-width)) / (2 * width)
            _ = lossAt(0)
            #expect(abs(slope - norm) < 0.01 * norm + 5e-4, "\(entry.spec.name): \(slope) and \(norm)")
            checked += 1
        }
        #expect(checked > 10)
    }

    /// In bf16 the gradients of adapters are as near to those of f32 as the passes' own rounding leaves them.
    @Test func bf16GradientsAreNearThoseOfF32() throws {
        let configuration = BitEqualityTests.variants[0].configuration
        let sequences = Self.sequences(configuration)
        let flat = try [ElementType.f32, .bf16].map { type in
            let trainer = try Self.trainer(configuration, Self.shapes[0], type: type)
            _ = trainer.computeGradients(sequences, coefficients: Self.coefficients)
            return trainer.gradients.flat.floats().map(Double.init)
        }
        let norm = flat[0].reduce(0) { $0 + $1 * $1 }.squareRoot()
        let error = zip(flat[0], flat[1]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        #expect(norm > 0 && error < 0.15 * norm, "\(error) of \(norm)")
    }

    @Test(arguments: BitEqualityTests.variants)
    func adaptersThatBeginChangeNothing(_ variant: BitEqualityTests.Variant) throws {
        let sequences = Self.sequences(variant.configuration)
        let trainer = try Self.trainer(variant.configuration, Self.shapes[0], type: variant.type, moved: false)
        let plain = Trainer(
            configuration: variant.configuration, masters: randomParameters(variant.configuration, seed: 11),
            type: variant.type, threads: 1, tokenBudget: 256)
        let outputs = [trainer, plain].map { trainer in
            trainer.computeGradients(sequences) { _, evaluation in evaluation.logprobs.map { _ in 0.01 } }
        }
        #expect(outputs[0] == outputs[1])
        // The first gradient moves B alone, as A's gradient passes through B.
        for entry in trainer.gradients.layout.entries {
            let isMoved = trainer.gradients.tensor(entry).floats().contains { $0 != 0 }
            #expect(isMoved == entry.spec.name.hasSuffix("lora_B.weight"), "\(entry.spec.name)")
        }
    }

    /// One and two threads end in the same bits, the base stays as it was, and a worker with the same files and the
    /// broadcast adapters has the learner's log-probabilities to the last bit.
    @Test(arguments: BitEqualityTests.variants, shapes)
    func workerAndLearnerHaveTheSameWeights(_ variant: BitEqualityTests.Variant, _ shape: AdapterShape) async throws {
        let folder = NSTemporaryDirectory() + "opd-adapters-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let base = randomParameters(variant.configuration, seed: 11)
        try ModelWriter.write(to: folder, configuration: variant.configuration, type: .f32) {
            base.values(base.layout[$0.name]!)
        }
        let files = try ModelFiles.open(folder)
        let sequences = Self.sequences(variant.configuration)
        var bits: [[UInt32]] = []
        for threads in [1, 2] {
            let trainer = try Self.trainer(
                variant.configuration, shape, type: variant.type, threads: threads, moved: false)
            for step in 0..<3 {
                let result = trainer.step(sequences, learningRate: 1e-2) { index, evaluation in
                    evaluation.logprobs.map { -0.01 * Float(step + 1 + index % 2) - 0.001 * $0 }
                }
                #expect(result.applied && result.gradientNorm > 0)
            }
            bits.append(trainer.masters.flat.floats().map(\.bitPattern))
            #expect(trainer.adaptation!.base.flat.floats() == base.flat.floats())

            let layout = try AdapterLayout(files.configuration, shape)
            let snapshot = AdapterSnapshot(layout.places, baseFingerprint: try files.fingerprint())
            #expect(trainer.broadcastByteCount == snapshot.byteCount)
            #expect(trainer.broadcastByteCount < trainer.broadcastLayout.byteCount)
            let memory = Tensor(rows: 1, columns: snapshot.byteCount / 4)
            trainer.writeBroadcast(into: .init(start: memory.bytes, count: snapshot.byteCount))
            let received = UnsafeRawBufferPointer(start: memory.bytes, count: snapshot.byteCount)
            let model = try LanguageModel(files, type: variant.type, threads: 3 - threads)
            try model.apply(try snapshot.read(received, layout, owner: files.path as NSString), to: files)
            let scores = try ScoringEngine(model: model).score(sequences.map(\.tokens))
            let evaluations = trainer.computeGradients(sequences) { _, evaluation in
                evaluation.logprobs.map { _ in 0 }
            }
            #expect(scores == evaluations.map(\.logprobs))

            // What is exported computes the same, too.
            try trainer.saveModel(to: folder + "/merged", copyingTokenizerFrom: files)
            let exported = try LanguageModel(
                try ModelFiles.open(folder + "/merged"), type: variant.type, threads: threads)
            #expect(
                try ScoringEngine(model: exported).score(sequences.map(\.tokens)) == scores)
        }
        #expect(bits[0] == bits[1])
    }
}
