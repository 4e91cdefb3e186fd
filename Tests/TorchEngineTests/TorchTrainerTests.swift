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

/// The engine beside the native one, on a model of the repository. They need a python with torch.
@Suite(.serialized, .enabled(if: python != nil)) struct TorchTrainerTests {
    private let folder: TemporaryFolder
    private let model = "Examples/models/arithmetic-student"

    init() throws { folder = try TemporaryFolder() }

    private func factory(_ reference: TorchReference) -> TorchEngineFactory {
        TorchEngineFactory(reference, native: NativeEngineFactory())
    }

    private var options: TrainerOptions {
        TrainerOptions(
            threads: 1, tokenBudget: 64,
            optimizer: AdamWSettings(beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipGradNorm: 1))
    }

    private func torch(processes: Int = 1, adapters: AdapterOptions? = nil) async throws
        -> any TrainingBackend & SupervisedBackend
    {
        let reference = TorchReference(
            python: try #require(python), processes: processes, device: "cpu", recomputes: false,
            logPath: "\(folder.path)/torch.log")
        return try await factory(reference).trainer(
            ModelReference(path: model, type: .f32, adapters: adapters), options)
    }

    private func native(adapters: AdapterOptions? = nil) throws -> any TrainingBackend & SupervisedBackend {
        try NativeEngineFactory().trainer(ModelReference(path: model, type: .f32, adapters: adapters), options)
    }

    private func ids(_ count: Int, _ factor: Int, _ offset: Int) -> [Int32] {
        (0..<count).map { place -> Int32 in Int32((place * factor + offset) % 90 + 4) }
    }

    private var examples: [SupervisedExample] {
        (0..<6).map { row -> SupervisedExample in
            SupervisedExample(promptIDs: ids(5 + row, 7, 3 * row), responseIDs: ids(8 + 2 * row, 11, 5 * row))
        }
    }

    private func weights(_ trainer: any TrainedModel) async throws -> [Float] {
        let place = WeightPlace(trainer.weightManifest, version: 0)
        try await trainer.writeWeights(to: place)
        return place.written.bytes.bindMemory(to: Float.self).map(\.self)
    }

    private func apart(_ one: [Float], _ other: [Float]) -> Float {
        one.count == other.count ? zip(one, other).reduce(0) { max($0, abs($1.0 - $1.1)) } : .infinity
    }

    private func step(_ trainer: any SupervisedBackend, _ version: UInt64) async throws -> StepResult {
        try await trainer.step(examples, learningRate: 1e-3, version: version)
    }

    @Test(arguments: [1, 2]) func followsTheNativeEngine(processes: Int) async throws {
        let torch = try await torch(processes: processes), native = try native()
        #expect(torch.weightManifest == native.weightManifest)
        #expect(torch.tokenizerFingerprint == native.tokenizerFingerprint)
        #expect(try await weights(torch) == weights(native))
        for version in 0..<3 as Range<UInt64> {
            let one = try await step(torch, version), other = try await step(native, version)
            #expect(abs(one.statistics.loss - other.statistics.loss) < 1e-4)
            #expect(abs(one.gradNorm / other.gradNorm - 1) < 1e-3)
            #expect(one.applied && one.statistics.tokens == other.statistics.tokens)
            #expect(abs((one.statistics.entropy ?? 0) - (other.statistics.entropy ?? 1)) < 1e-4)
        }
        #expect(apart(try await weights(torch), try await weights(native)) < 1e-3)
    }

    @Test func aStateGoesOnInTheOtherEngine() async throws {
        let torch = try await torch(), native = try native()
        _ = try await step(torch, 0)
        try (await torch.holdState()).write(to: folder.path)
        try await native.restore(from: folder.path)
        #expect(try await weights(torch) == weights(native))
        _ = try await step(torch, 1)
        _ = try await step(native, 1)
        #expect(apart(try await weights(torch), try await weights(native)) < 5e-4)
        let other = "\(folder.path)/native"
        try FileTree.createFolder(other)
        try (await native.holdState()).write(to: other)
        try await torch.restore(from: other)
        #expect(try await weights(torch) == weights(native))
    }

    @Test func adaptersBeginAndGoOnAsTheNativeOnes() async throws {
        let adapters = AdapterOptions(rank: 4, alpha: 8, targets: ["q_proj", "down_proj"], seed: 3)
        let torch = try await torch(adapters: adapters), native = try native(adapters: adapters)
        #expect(torch.weightManifest == native.weightManifest)
        #expect(try await weights(torch).map(\.bitPattern) == weights(native).map(\.bitPattern))
        for version in 0..<2 as Range<UInt64> {
            let one = try await step(torch, version), other = try await step(native, version)
            #expect(abs(one.gradNorm / other.gradNorm - 1) < 1e-3)
        }
        try (await torch.holdState()).write(to: folder.path)
        try await native.restore(from: folder.path)
        #expect(try await weights(torch).map(\.bitPattern) == weights(native).map(\.bitPattern))
    }

    @Test func anEngineThatDiesIsBroughtToTheSameState() async throws {
        let undisturbed = try await torch()
        for version in 0..<4 as Range<UInt64> { _ = try await step(undisturbed, version) }
        let wanted = try await weights(undisturbed)
        let others = Set(TorchProcesses.own)
        let trainer = try await torch()
        func killIt() {
            let pids = TorchProcesses.own.filter { !others.contains($0) }
            #expect(pids.count == 1)
            for pid in pids { kill(pid, SIGKILL) }
        }
        _ = try await step(trainer, 0)
        // There is no state yet: it begins again from the model.
        killIt()
        _ = try await step(trainer, 1)
        let written = "\(folder.path)/written"
        try FileTree.createFolder(written)
        try (await trainer.holdState()).write(to: written)
        // A checkpoint is renamed when it is whole.
        try FileTree.rename(written, to: "\(folder.path)/step-2")
        _ = try await step(trainer, 2)
        killIt()
        // Long enough for the socket to notice.
        try await Task.sleep(for: .seconds(1))
        _ = try await step(trainer, 3)
        killIt()
        #expect(apart(try await weights(trainer), wanted) < 1e-6)
    }

    @Test func whatCannotBeStartedIsNamed() async throws {
        func refusal(_ reference: TorchReference, _ path: String) async -> EngineRefusal? {
            do {
                _ = try await factory(reference).trainer(ModelReference(path: path, type: .f32), options)
                return nil
            } catch { return error as? EngineRefusal }
        }
        let log = "\(folder.path)/torch.log", python = try #require(python)
        let absent = await refusal(TorchReference(python: "/nowhere/python", logPath: log), model)
        #expect(absent?.subject == .engine && absent?.reason.contains("/nowhere/python") == true)
        let wrong = await refusal(TorchReference(python: "/bin/false", logPath: log), model)
        #expect(wrong?.subject == .engine && wrong?.reason.contains("exit status 1") == true)
        let gpu = await refusal(TorchReference(python: python, device: "cuda", logPath: log), model)
        #expect(gpu?.subject == .engine && gpu?.reason.contains("torch.device") == true)
        let attention = await refusal(
            TorchReference(python: python, device: "cpu", attention: "no_such_attention", logPath: log), model)
        #expect(attention?.subject == .model && attention?.reason.contains("transformers refuses \(model)") == true)
    }

    @Test func scoresAsTheNativeEngineDoes() async throws {
        let reference = TorchReference(
            python: try #require(python), device: "cpu", logPath: "\(folder.path)/torch.log")
        let teacher = ModelReference(path: model, type: .f32)
        let torch = try await factory(reference).scorer(teacher, ScorerOptions(threads: 1))
        let native = try NativeEngineFactory().scorer(teacher, ScorerOptions(threads: 1))
        var tasks = examples.enumerated().map { row, example in
            ScoreTask(
                id: RolloutID(group: UInt64(row), sample: 0), kind: .train, teacher: "t",
                ids: example.promptIDs + example.responseIDs, promptCount: example.promptIDs.count, leaseID: 0)
        }
        tasks[2].tokens = SupervisedExample(promptIDs: tasks[2].ids, responseIDs: [])
        let one = try await torch.score(tasks), other = try await native.score(tasks)
        #expect(one.map(\.count) == other.map(\.count) && one[2].isEmpty)
        for (own, their) in zip(one, other) { #expect(apart(own, their) < 1e-4) }
    }
}
