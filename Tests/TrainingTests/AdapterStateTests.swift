import Compute
import Foundation
import Models
import Testing
import Training
import Transformers

/// Adapters outside of memory: snapshots, checkpoints.
@Suite struct AdapterStateTests {
    /// What a learner of another model, or a stranger, may send.
    @Test func snapshotsThatDoNotFitAreRefused() throws {
        let configuration = BitEqualityTests.variants[0].configuration
        func snapshot(_ shape: AdapterShape, base: UInt64 = 7) throws -> AdapterSnapshot {
            AdapterSnapshot(try AdapterLayout(configuration, shape).places, baseFingerprint: base)
        }
        let shape = AdapterTests.shapes[1]
        let mine = try snapshot(shape), layout = try AdapterLayout(configuration, shape)
        let adapters = Adapters(layout: layout, seed: 3)
        func bytes(_ snapshot: AdapterSnapshot) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: snapshot.byteCount)
            bytes.withUnsafeMutableBytes { snapshot.write(adapters, into: $0) }
            return bytes
        }
        func refusal(_ bytes: [UInt8]) -> String? {
            bytes.withUnsafeBytes { raw in
                do {
                    let read = try mine.read(raw, layout, owner: adapters)
                    #expect(read.values.flat.floats() == adapters.values.flat.floats())
                    return nil
                } catch {
                    return "\(error)"
                }
            }
        }
        let good = bytes(mine)
        #expect(refusal(good) == nil)
        for count in [0, 1, 63, 64, good.count - 1, good.count + 1] {
            let other = (0..<count).map { $0 < good.count ? good[$0] : 0 }
            #expect(refusal(other) == "they are not \(good.count) bytes of adapters", "\(count) bytes")
        }
        for place in 0..<64 {
            var changed = good
            changed[place] ^= 1
            let message = try #require(refusal(changed), "byte \(place)")
            #expect(
                message.contains(
                    place < 8 ? "bytes of adapters" : place < 24 ? "another lora section" : "another base model"))
        }
        let alpha = AdapterShape(rank: shape.rank, alpha: 2, targets: Set(shape.targets))
        #expect(refusal(bytes(try snapshot(alpha)))?.contains("another lora section") == true)
        let targets = AdapterShape(rank: shape.rank, alpha: shape.alpha, targets: [.output, .value, .down])
        let moved = try snapshot(targets)
        #expect(refusal(bytes(moved)) != nil || moved.byteCount != good.count)
        #expect(
            refusal(bytes(try snapshot(shape, base: 8)))?.contains("give learner and worker the same student") == true)
    }

    /// What a broadcast of SmolLM2-135M takes: a fourteenth of all weights in bf16, a 28th of them in f32.
    @Test func aBroadcastIsOfTheAdaptersAlone() throws {
        let configuration = ModelConfiguration(
            family: .llama, vocabularySize: 49152, hiddenSize: 576, intermediateSize: 1536, layerCount: 30,
            headCount: 9, keyValueHeadCount: 3, headDimension: 64, tiedEmbeddings: true)
        let shape = AdapterShape(rank: 16, alpha: 32, targets: Set(AdapterShape.Target.allCases))
        let layout = try AdapterLayout(configuration, shape)
        let snapshot = AdapterSnapshot(layout.places, baseFingerprint: 0)
        #expect(layout.count == 4_884_480 && snapshot.byteCount == 64 + 4 * 4_884_480)
        #expect(ParameterLayout(configuration, matrixType: .bf16).byteCount == 269_100_288)
    }

    /// Saved and loaded again: the same next step, to the last bit; what is damaged is refused.
    @Test func adaptersAndOptimizerAreRestored() throws {
        let folder = NSTemporaryDirectory() + "opd-adapters-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let variant = BitEqualityTests.variants[1], shape = AdapterTests.shapes[1]
        let base = randomParameters(variant.configuration, seed: 11)
        try ModelWriter.write(to: folder, configuration: variant.configuration, type: .f32) {
            base.values(base.layout[$0.name]!)
        }
        let files = try ModelFiles.open(folder), sequences = AdapterTests.sequences(variant.configuration)
        func step(_ trainer: Trainer) {
            _ = trainer.step(sequences, learningRate: 1e-2) { _, evaluation in evaluation.logprobs.map { -0.01 * $0 } }
        }
        func bits(_ trainer: Trainer) -> [[UInt32]] {
            [trainer.masters.flat, trainer.firstMoment.flat, trainer.secondMoment.flat].map { (tensor: Tensor) in
                tensor.floats().map(\.bitPattern)
            }
        }
        func fresh() throws -> Trainer {
            try AdapterTests.trainer(variant.configuration, shape, type: .bf16, moved: false)
        }
        let first = try fresh()
        step(first)
        step(first)
        try first.saveAdapters(to: folder + "/adapter", base: files)
        try first.saveOptimizer(to: folder + "/optimizer.safetensors")
        step(first)
        let second = try fresh()
        #expect(try second.hasBase(ofAdaptersIn: folder + "/adapter"))
        try second.loadAdapters(from: folder + "/adapter")
        try second.loadOptimizer(from: folder + "/optimizer.safetensors")
        step(second)
        #expect(bits(first) == bits(second))

        let other = Trainer(
            configuration: variant.configuration, base: randomParameters(variant.configuration, seed: 12),
            adapters: Adapters(layout: try AdapterLayout(variant.configuration, shape), seed: 5), type: .bf16,
            threads: 1)
        #expect(try !other.hasBase(ofAdaptersIn: folder + "/adapter"))
        func refusal(_ shape: AdapterShape) -> String? {
            do {
                let trainer = try AdapterTests.trainer(variant.configuration, shape, type: .bf16)
                try trainer.loadAdapters(from: folder + "/adapter")
                return nil
            } catch {
                return "\(error)"
            }
        }
        #expect(refusal(shape) == nil)
        let rank = AdapterShape(rank: 2, alpha: 1, targets: Set(shape.targets))
        #expect(refusal(rank)?.contains("self_attn.q_proj.lora_A.weight' has not the shape of this run's") == true)
        let more = AdapterShape(rank: shape.rank, alpha: 1, targets: [.query, .key])
        #expect(refusal(more)?.contains("no tensor 'base_model.model.model.layers.0.self_attn.k_proj.lora_A") == true)
        second.masters.flat.f32[0] = .nan
        #expect(!second.isFinite)
        try second.saveAdapters(to: folder + "/adapter", base: files)
        #expect(refusal(shape)?.contains("an adapter is not finite") == true)
        second.masters.flat.f32[0] = 1e20
        #expect(!second.isFinite, "what it adds might not be a number")
    }
}
