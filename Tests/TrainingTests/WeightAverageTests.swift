import Compute
import Foundation
import Models
import TestSupport
import Testing
import Training
import Transformers

/// Averages of what is trained: of all weights, and of adapters.
@Suite struct WeightAverageTests {
    private static let shape = AdapterTests.shapes[1]
    private static let variants = BitEqualityTests.variants

    private static func trainer(
        _ variant: BitEqualityTests.Variant, adapters: Bool, threads: Int = 1, decays: [String: Double]
    ) throws -> Trainer {
        let trainer =
            try adapters
            ? AdapterTests.trainer(variant.configuration, shape, type: variant.type, threads: threads)
            : Trainer(
                configuration: variant.configuration, masters: randomParameters(variant.configuration, seed: 2),
                type: variant.type, threads: threads, tokenBudget: 256)
        for (name, decay) in decays { trainer.keepAverage(name, decay: decay) }
        return trainer
    }

    private static func step(_ trainer: Trainer, proceeds: Bool = true) {
        let sequences = AdapterTests.sequences(trainer.configuration)
        _ = trainer.step(sequences, learningRate: 1e-2, beforeUpdate: { proceeds }) { index, evaluation in
            evaluation.logprobs.map { -0.01 * $0 - 0.001 * Float(index) }
        }
    }

    private static func bits(_ buffer: ParameterBuffer?) -> [UInt32] {
        buffer?.flat.floats().map(\.bitPattern) ?? []
    }

    private static func broadcast(_ trainer: Trainer, _ average: WeightAverage?) -> [UInt8] {
        let memory = Tensor(rows: 1, columns: (trainer.broadcastByteCount + 3) / 4)
        let bytes = UnsafeMutableRawBufferPointer(start: memory.bytes, count: trainer.broadcastByteCount)
        if let average { trainer.writeBroadcast(of: average, into: bytes) } else { trainer.writeBroadcast(into: bytes) }
        return withExtendedLifetime(memory) { Array(bytes) }
    }

    /// What plain Swift makes of the masters after every step, with one thread and with two; a step that is called off
    /// leaves it as it was.
    @Test(arguments: variants, [false, true])
    func itIsTheAverageOfTheStepsWeights(_ variant: BitEqualityTests.Variant, adapters: Bool) throws {
        let decays = ["slow": 0.9, "fast": 0.25]
        var ends: [[UInt32]] = []
        for threads in [1, 2] {
            let trainer = try Self.trainer(variant, adapters: adapters, threads: threads, decays: decays)
            var expected = decays.mapValues { _ in trainer.masters.flat.floats() }
            for round in 0..<4 {
                Self.step(trainer, proceeds: round != 2)
                if round == 2 { continue }
                let masters = trainer.masters.flat.floats()
                for (name, decay) in decays {
                    let share = Float(1 - decay)
                    expected[name] = zip(expected[name] ?? [], masters).map { $0 + share * ($1 - $0) }
                }
            }
            for name in decays.keys {
                #expect(Self.bits(trainer.averages[name]?.values) == expected[name]?.map(\.bitPattern))
            }
            #expect(Self.bits(trainer.averages["slow"]?.values) != Self.bits(trainer.masters))
            ends.append(Self.bits(trainer.averages["slow"]?.values))
        }
        #expect(ends[0] == ends[1])
    }

    /// An average is sent out as weights are: rounded as those of a student with the same masters.
    @Test(arguments: variants, [false, true])
    func itIsSentOutAsWeightsAre(_ variant: BitEqualityTests.Variant, adapters: Bool) throws {
        let trainer = try Self.trainer(variant, adapters: adapters, decays: ["slow": 0.9])
        #expect(Self.broadcast(trainer, trainer.averages["slow"]) == Self.broadcast(trainer, nil))
        Self.step(trainer)
        let sent = Self.broadcast(trainer, trainer.averages["slow"])
        #expect(sent != Self.broadcast(trainer, nil))
        let average = try #require(trainer.averages["slow"])
        trainer.masters.copy(from: average.values, context: trainer.context)
        #expect(Self.broadcast(trainer, nil) == sent)
    }

    /// Saved and loaded again: the next average has the same bits. One that is not there begins as the weights are, and
    /// what is damaged, or of another model, is refused by name.
    @Test(arguments: [variants[0], variants[3]], [false, true])
    func itIsRestored(_ variant: BitEqualityTests.Variant, adapters: Bool) throws {
        let folder = NSTemporaryDirectory() + "opd-average-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let base = randomParameters(variant.configuration, seed: adapters ? 11 : 2)
        try ModelWriter.write(to: folder + "/base", configuration: variant.configuration, type: .f32) {
            base.values(base.layout[$0.name]!)
        }
        let files = try ModelFiles.open(folder + "/base")
        let first = try Self.trainer(variant, adapters: adapters, decays: ["slow": 0.9])
        Self.step(first)
        Self.step(first)
        func save() throws {
            try first.saveModel(to: folder + "/model", copyingTokenizerFrom: files)
            try first.saveAdapters(to: folder + "/adapter", base: files)
            try first.saveAverages(to: folder + "/averages", base: files)
            try first.saveOptimizer(to: folder + "/optimizer.safetensors")
        }
        func restored(_ decays: [String: Double]) throws -> Trainer {
            let trainer = try Self.trainer(variant, adapters: adapters, decays: decays)
            if adapters {
                try trainer.loadAdapters(from: folder + "/adapter")
            } else {
                try trainer.loadModel(from: folder + "/model")
            }
            try trainer.loadAverages(from: folder + "/averages")
            try trainer.loadOptimizer(from: folder + "/optimizer.safetensors")
            return trainer
        }
        try save()
        let second = try restored(["slow": 0.9, "new": 0.5])
        #expect(Self.bits(second.averages["slow"]?.values) == Self.bits(first.averages["slow"]?.values))
        #expect(Self.bits(second.averages["new"]?.values) == Self.bits(first.masters))
        for trainer in [first, second] { Self.step(trainer) }
        #expect(Self.bits(second.averages["slow"]?.values) == Self.bits(first.averages["slow"]?.values))
        #expect(Self.bits(second.masters) == Self.bits(first.masters))

        first.averages["slow"]?.values.flat.f32[0] = .nan
        try save()
        let error = #expect(throws: ModelError.self) { try restored(["slow": 0.9]) }
        #expect(error.map { "\($0)".contains("averages/slow: a weight is not finite") } == true)
        let file = folder + "/averages/slow/" + (adapters ? "adapter_model" : "model") + ".safetensors"
        let whole = try Data(contentsOf: URL(filePath: file))
        for bytes in [whole.prefix(40), whole.prefix(whole.count - 4), Data()] {
            try Data(bytes).write(to: URL(filePath: file))
            #expect(throws: (any Error).self) { try restored(["slow": 0.9]) }
        }
    }
}
