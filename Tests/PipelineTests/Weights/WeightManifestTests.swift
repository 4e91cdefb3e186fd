import Engines
import NativeEngine
import TestSupport
import Testing
import Wire

@Suite struct WeightManifestTests {
    private typealias Tensor = WeightManifest.Tensor

    @Test func whatCannotBeIsSaid() {
        let matrix = Tensor(name: "a", shape: [2, 3], type: .bf16, byteOffset: 0)
        let vector = Tensor(name: "b", shape: [3], type: .f32, byteOffset: 12)
        func flaw(_ tensors: [Tensor], byteCount: Int = 64) -> String? {
            WeightManifest(matrixType: .bf16, tensors: tensors, byteCount: byteCount).flaw
        }
        #expect(flaw([vector, matrix]) == nil && flaw([]) == nil)
        #expect(flaw([matrix, vector], byteCount: 23) == "b ends behind the snapshot")
        #expect(flaw([matrix, matrix]) == "a is there twice")
        let overlapping = Tensor(name: "b", shape: [1], type: .f32, byteOffset: 11)
        #expect(flaw([matrix, overlapping]) == "b overlaps another tensor")
        let huge = Tensor(name: "b", shape: [1 << 30, 1 << 30, 1 << 30], type: .f32, byteOffset: 12)
        #expect(flaw([matrix, huge]) == "b has an impossible shape")
    }

    @Test func whatDiffersIsNamed() {
        let matrix = Tensor(name: "a", shape: [2, 3], type: .bf16, byteOffset: 0)
        let vector = Tensor(name: "b", shape: [3], type: .f32, byteOffset: 12)
        let own = WeightManifest(matrixType: .bf16, tensors: [matrix, vector], byteCount: 64)
        func difference(_ change: (inout WeightManifest) -> Void) -> String? {
            var other = own
            change(&other)
            return own.difference(from: other)
        }
        #expect(difference { $0.tensors.reverse() } == nil && difference { $0.tensors = [] } == nil)
        #expect(difference { $0.tensors[0].shape = [3, 2] } == "a is [3, 2], not [2, 3]")
        #expect(difference { $0.tensors[1].type = .bf16 } == "b is bf16, not f32")
        #expect(difference { $0.tensors[1].byteOffset = 16 } == "b lies at 16, not at 12")
        #expect(difference { $0.tensors[0].name = "c" } == "a is missing")
        let more = Tensor(name: "c", shape: [], type: .f32, byteOffset: 24)
        #expect(difference { $0.tensors.append(more) } == "c is unknown")
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
        let described = trainer.weightManifest
        #expect(described.flaw == nil && described.matrixType == .bf16)
        let names = described.tensors.map(\.name)
        #expect(names.contains("model.layers.0.self_attn.q_proj.weight") == (adapters == nil))
        #expect(names.contains { $0.contains("q_proj.lora_A") } == (adapters != nil))
        let sampler = try engine.sampler(
            ModelReference(path: "\(folder.path)/model", type: .bf16, adapters: adapters),
            SamplerOptions(slots: 1, threads: 1))
        let place = WeightPlace(described, version: 1)
        try await trainer.writeWeights(to: place)
        try await sampler.replaceWeights(place.written, described, version: 1)
        // What lies elsewhere is refused by name, whatever its size; what is not told is taken by its size.
        var other = described
        other.tensors[1].byteOffset += 64
        await #expect(throws: EngineError.self) { try await sampler.replaceWeights(place.written, other, version: 2) }
        other.tensors = []
        try await sampler.replaceWeights(place.written, other, version: 3)
        let short = WeightPlace(WeightManifest(matrixType: .bf16, byteCount: described.byteCount - 64), version: 4)
        await #expect(throws: EngineError.self) { try await trainer.writeWeights(to: short) }
    }
}
