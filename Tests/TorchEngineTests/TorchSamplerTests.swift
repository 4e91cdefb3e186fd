import Distillation
import Engines
import Files
import Foundation
import NativeEngine
import TestSupport
import Testing
import TorchEngine
import Wire

/// A python with torch; `make test-torch` says which.
private let python = ProcessInfo.processInfo.environment["OPD_TORCH_PYTHON"]

/// What the engine samples, beside what the native one makes of it. They need a python with torch.
@Suite(.serialized, .enabled(if: python != nil)) struct TorchSamplerTests {
    private let folder: TemporaryFolder
    private let model = "Examples/models/arithmetic-student"

    init() throws { folder = try TemporaryFolder() }

    private func sampler(adapters: AdapterOptions? = nil) async throws -> any RolloutBackend {
        let reference = TorchReference(
            python: try #require(python), processes: 2, device: "cpu", logPath: "\(folder.path)/torch.log")
        return try await TorchEngineFactory(reference, native: NativeEngineFactory()).sampler(
            ModelReference(path: model, type: .f32, adapters: adapters), SamplerOptions(slots: 4, threads: 1))
    }

    /// The student after two steps, whose adapters are no longer zero.
    private func trained(_ adapters: AdapterOptions?) async throws -> (WeightBytes, WeightManifest) {
        let options = TrainerOptions(
            threads: 1, tokenBudget: 512,
            optimizer: AdamWSettings(beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipGradNorm: 0))
        let trainer = try NativeEngineFactory().trainer(
            ModelReference(path: model, type: .f32, adapters: adapters), options)
        let example = SupervisedExample(promptIDs: [5, 6, 7], responseIDs: [8, 9, 10, 11])
        for version in 0..<2 as Range<UInt64> {
            _ = try await trainer.step([example], learningRate: 3e-2, version: version)
        }
        let place = WeightPlace(trainer.weightManifest, version: 2)
        try await trainer.writeWeights(to: place)
        return (place.written, trainer.weightManifest)
    }

    private func tasks(_ count: Int, maxTokens: Int = 12) -> [RolloutTask] {
        (0..<count).map { (row: Int) -> RolloutTask in
            let prompt = (0..<4 + row).map { (place: Int) -> Int32 in Int32((7 * place + 3 * row) % 90 + 4) }
            return RolloutTask(
                id: RolloutID(group: UInt64(row / 2), sample: UInt32(row % 2)), kind: .train, promptIDs: prompt,
                sampling: SamplingSettings(maxTokens: maxTokens, temperature: 1, stopTokenIDs: [2]), seed: 1,
                minimumVersion: 0, leaseID: 0)
        }
    }

    /// Compares log-probabilities with those that the native engine gives the same tokens with the same weights.
    private func check(
        _ trajectories: [Trajectory], _ weights: (WeightBytes, WeightManifest)?, adapters: AdapterOptions? = nil
    ) async throws {
        let native = try NativeEngineFactory().evaluator(
            ModelReference(path: model, type: .f32, adapters: adapters), SamplerOptions(slots: 1, threads: 1))
        if let weights { try await native.replaceWeights(weights.0, weights.1, version: 2) }
        let scores = try await native.score(
            trajectories.map {
                ScoreTask(
                    id: $0.id, kind: .train, teacher: "", ids: $0.promptIDs + $0.responseIDs,
                    promptCount: $0.promptIDs.count, leaseID: 0)
            })
        for (trajectory, score) in zip(trajectories, scores) {
            #expect(trajectory.behaviourLogprobs.count == score.count)
            for (own, their) in zip(trajectory.behaviourLogprobs, score) { #expect(abs(own - their) < 2e-4) }
        }
    }

    @Test(arguments: [nil, AdapterOptions(rank: 4, alpha: 8, targets: ["q_proj", "down_proj"], seed: 3)])
    func samplesWithTheWeightsThatItWasSent(adapters: AdapterOptions?) async throws {
        let sampler = try await sampler(adapters: adapters)
        #expect(!sampler.isReproducible && sampler.slots == 4)
        let before = try #require(try await sampler.sample(tasks(6)))
        try await check(before, nil)
        #expect(before.allSatisfy { $0.policyVersions.runs.allSatisfy { $0.version == 0 } })
        let weights = try await trained(adapters)
        #expect(sampler.weightByteCount == weights.0.count)
        try await sampler.replaceWeights(weights.0, weights.1, version: 2)
        let after = try #require(try await sampler.sample(tasks(6)))
        try await check(after, weights, adapters: adapters)
        for trajectory in after {
            #expect(trajectory.policyVersions == PolicyVersions(repeating: 2, count: trajectory.responseIDs.count))
            #expect(trajectory.finishReason == (trajectory.responseIDs.last == 2 ? .stop : .length))
            #expect((1...12).contains(trajectory.responseIDs.count))
        }
        await #expect(throws: EngineError.self) {
            try await sampler.replaceWeights(WeightBytes(count: 64) { _ in }, weights.1, version: 3)
        }
    }

    @Test func newWeightsAreUsedInTheMiddleOfAResponse() async throws {
        let sampler = try await sampler(), weights = try await trained(nil)
        var tasks = tasks(4, maxTokens: 85)
        for index in tasks.indices { tasks[index].sampling.stopTokenIDs = [] }
        try await sampler.submit(tasks)
        var done: [Trajectory] = [], hasReplaced = false
        for try await event in sampler.events {
            if !hasReplaced {
                hasReplaced = true
                try await sampler.replaceWeights(weights.0, weights.1, version: 2)
            }
            if case .completed(let trajectories) = event { done += trajectories }
            if done.count == tasks.count { break }
        }
        for trajectory in done {
            #expect(trajectory.responseIDs.count == 85 && trajectory.policyVersions.count == 85)
            let versions = trajectory.policyVersions.runs.map(\.version)
            #expect(versions == versions.sorted() && Set(versions).isSubset(of: [0, 2]))
        }
    }

    @Test func whatIsCancelledDoesNotCome() async throws {
        let sampler = try await sampler(), tasks = tasks(8, maxTokens: 60)
        try await sampler.submit(tasks)
        let items = Set(tasks[..<3].map { WorkItem(id: $0.id, kind: $0.kind) })
        await sampler.cancel(items)
        var isCancelled = false, done: Set<RolloutID> = []
        let wanted = Set(tasks[3...].map(\.id))
        for try await event in sampler.events {
            switch event {
            case .progress: break
            case .cancelled(let cancelled):
                isCancelled = true
                #expect(cancelled == items)
            case .completed(let trajectories):
                // A fast engine may have ended some of either kind before it hears.
                if isCancelled { #expect(wanted.isSuperset(of: trajectories.map(\.id))) }
                done.formUnion(trajectories.map(\.id))
            }
            if isCancelled, done.isSuperset(of: wanted) { break }
        }
        #expect(isCancelled && done.isSuperset(of: wanted))
    }

    @Test func anEngineThatDiesLosesNoTask() async throws {
        let others = Set(TorchProcesses.own), sampler = try await sampler(), weights = try await trained(nil)
        try await sampler.replaceWeights(weights.0, weights.1, version: 2)
        let tasks = tasks(8, maxTokens: 80)
        try await sampler.submit(tasks)
        var done: [Trajectory] = [], hasKilled = false
        for try await event in sampler.events {
            if !hasKilled {
                hasKilled = true
                let mine = TorchProcesses.own.filter { !others.contains($0) }
                #expect(mine.count == 1)
                for pid in mine { kill(pid, SIGKILL) }
            }
            if case .completed(let trajectories) = event { done += trajectories }
            if done.count >= tasks.count { break }
        }
        #expect(done.map(\.id).sorted() == tasks.map(\.id).sorted())
        // The new one has the same weights.
        try await check(done, weights)
        #expect(done.allSatisfy { $0.policyVersions.runs.allSatisfy { $0.version == 2 } })
    }

    @Test func whatCannotBeSampledIsNamed() async throws {
        let sampler = try await sampler()
        var task = tasks(1)[0]
        task.sampling.temperature = 0
        do {
            _ = try await sampler.sample([task])
            Issue.record("temperature 0 was taken")
        } catch { #expect("\(error)".contains("sampling.temperature")) }
        let reference = TorchReference(
            python: try #require(python), device: "cpu", attention: "flex_attention",
            logPath: "\(folder.path)/torch.log")
        let factory = TorchEngineFactory(reference, native: NativeEngineFactory())
        let student = ModelReference(path: model, type: .f32)
        #expect(throws: EngineRefusal.self) {
            try factory.evaluator(student, SamplerOptions(slots: 1, threads: 1))
        }
    }

    @Test func aLongropeStudentHasTheContextOfItsShortFactors() async throws {
        let path = "\(folder.path)/longrope"
        try FileTree.createFolder(path)
        for name in ["config.json", "model.safetensors"] {
            try FileManager.default.copyItem(
                atPath: "Tests/Fixtures/golden/phi3-longrope/\(name)", toPath: "\(path)/\(name)")
        }
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            try FileManager.default.copyItem(atPath: "\(model)/\(name)", toPath: "\(path)/\(name)")
        }
        let student = ModelReference(path: path, type: .f32), reference = TorchReference(python: "", logPath: "")
        #expect(try NativeEngineFactory().describe(student).contextLength == 256)
        let torch = TorchEngineFactory(reference, native: NativeEngineFactory())
        #expect(try await torch.describe(student).contextLength == 64)
    }
}

/// Processes of engines that this process has started.
enum TorchProcesses {
    static var own: [pid_t] {
        let mine = "--learner\0\(ProcessInfo.processInfo.processIdentifier)\0"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { pid in
            guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            return String(decoding: bytes, as: UTF8.self).contains(mine)
        }
    }
}
