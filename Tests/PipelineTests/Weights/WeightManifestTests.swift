import Engines
import NativeEngine
import TestSupport
import Testing

@Suite struct WeightManifestTests {
    private typealias Tensor = WeightManifest.Tensor

    @Test func whatCannotBeIsSaid() {
        let matrix = Tensor(name: "a", shape: [2, 3], type: .bf16, byteOffset: 0)
        let vector = Tensor(name: "b", shape: [3], type: .f32, byteOffset: 12)
        func flaw(_ tensors: [Tensor], byteCount: Int = 64) -> String? {
            WeightManifest(tensors: tensors, byteCount: byteCount).flaw
        }
        #expect(flaw([vector, matrix]) == nil && flaw([]) == nil)
        #expect(flaw([matrix, vector], byteCount: 23) == "b ends behind the snapshot")
        #expect(flaw([matrix, matrix]) == "a is there twice")
        let overlapping = Tensor(name: "b", shape: [1], type: .f32, byteOffset: 11)
        #expect(flaw([matrix, overlapping]) == "b overlaps another tensor")
        let huge = Tensor(name: "b", shape: [1 << 30, 1 << 30, 1 << 30], type: .f32, byteOffset: 12)
        #expect(flaw([matrix, huge]) == "b has an impossible shape")
    }

    /// A trainer's snapshot is described, whether all weights or adapters alone are sent out.
    @Test(arguments: [nil, AdapterOptions(rank: 2, alpha: 4, targets: ["q_proj", "down_proj"], seed: 1)])
    func aTrainersSnapshotIsDescribed(_ adapters: AdapterOptions?) async throws {
        let folder = try TemporaryFolder(), engine = NativeEngineFactory()
        let shape = InitialShape(layers: 1, hidden: 16, heads: 2, keyValueHeads: 1, intermediate: 16, context: 32)
        _ = try engine.create(shape, seed: 1, at: "\(folder.path)/model")
        let trainer = try engine.trainer(
            ModelReference(path: "\(folder.path)/model", type: .bf16, adapters: adapters),
            TrainerOptions(
                threads: 1, tokenBudget: 32,
                optimizer: AdamWSettings(beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipGradNorm: 1)))
        let (manifest, byteCount) = try await trainer.withSnapshot { ($0.manifest, $0.byteCount) }
        let described = try #require(manifest)
        #expect(described.flaw == nil && described.byteCount == byteCount)
        let names = described.tensors.map(\.name)
        #expect(names.contains("model.layers.0.self_attn.q_proj.weight") == (adapters == nil))
        #expect(names.contains { $0.contains("q_proj.lora_A") } == (adapters != nil))
        let held = try await trainer.holdState().write(to: folder.path)
        #expect(held == ["model", "optimizer.safetensors"] + (adapters == nil ? [] : ["adapter"]))
    }
}
