import Compute
import Distillation
import Engines
import Foundation
import JSON
import Models
import Training
import Wire

/// The learner's engine in processes of torch: they have the weights and compute s; the method is computed here.
package actor TorchTrainer: TrainingBackend, SupervisedBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated let weightManifest: WeightManifest
    package nonisolated var isReproducible: Bool { false }
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let session: TorchSession
    private let options: TrainerOptions
    private let processes: Int
    private let gate = UpdateGate()

    /// Starts the processes and has them load the model.
    /// - Throws: ``EngineRefusal`` when there is no such python, torch, device, or torch does not take the model.
    init(_ model: ModelReference, _ reference: TorchReference, _ options: TrainerOptions) throws {
        let files = try ModelFiles.open(model.path)
        tokenizerFingerprint = try files.loadTokenizer().fingerprint
        let matrixType = ElementType(model.type)
        var load: JSONObject = [
            "model": .string(model.path), "dtype": .string((reference.type ?? model.type).rawValue),
            "attention": .string(reference.attention), "recompute": .bool(reference.recomputes),
            "compile": .bool(reference.compiles), "train": true,
        ]
        let layout: BroadcastLayout
        if let adapters = model.adapters {
            let adapterLayout = try files.adapterLayout(adapters)
            let fingerprint = try files.fingerprint()
            layout = AdapterSnapshot(layout: adapterLayout, baseFingerprint: fingerprint).manifest
            load["adapters"] = [
                "rank": .integer(adapters.rank), "alpha": .number(Double(adapters.alpha)),
                "targets": .array(adapterLayout.shape.targets.map { .string($0.rawValue) }),
                // Above what JSON has integers for.
                "seed": .string(String(adapters.seed)), "fingerprint": .string(String(fingerprint, radix: 16)),
            ]
        } else {
            layout = ParameterLayout(files.configuration, matrixType: matrixType).manifest
        }
        weightManifest = WeightManifest(layout, matrixType: model.type)
        load["manifest"] = weightManifest.json
        self.options = options
        processes = reference.processes
        session = try TorchSession(reference, threads: options.threads, load: TorchMessage("load", load))
        executor = PinnedThreadExecutor(name: "torch")
    }

    package func step(
        _ batch: [ScoredTrajectory], objective: Objective, learningRate: Double, version: UInt64
    ) throws -> StepResult {
        let tokenCount = responseTokenCount(batch)
        let baseline = objective.baseline(of: batch), rewards = objective.rewardAdvantages(of: batch)
        let sequences = batch.map {
            TrainingSequence(
                promptIDs: $0.trajectory.promptIDs, responseIDs: $0.trajectory.responseIDs,
                temperature: objective.temperature(of: $0.trajectory))
        }
        return try step(sequences, learningRate: learningRate, version: version) { index, current, statistics in
            objective.gradient(
                of: batch[index], current: current, baseline: baseline, rewardAdvantage: rewards[index],
                tokenCount: tokenCount, version: version, statistics: &statistics)
        }
    }

    package func step(
        _ examples: [SupervisedExample], learningRate: Double, version: UInt64
    ) throws -> StepResult {
        let tokenCount = examples.reduce(0) { $0 + $1.responseIDs.count }
        let sequences = examples.map { TrainingSequence(promptIDs: $0.promptIDs, responseIDs: $0.responseIDs) }
        return try step(sequences, learningRate: learningRate, version: version) { _, current, statistics in
            statistics.add(exampleOf: current.count)
            return crossEntropyGradient(current: current, tokenCount: tokenCount, statistics: &statistics)
        }
    }

    /// - Parameter gradient: dL/ds of sequence `index`, from s of its response tokens.
    private func step(
        _ sequences: [TrainingSequence], learningRate: Double, version: UInt64,
        gradient: (_ index: Int, _ current: [Float], _ statistics: inout BatchStatistics) -> [Float]
    ) throws -> StepResult {
        let batch = TorchBatch(
            tokenCounts: sequences.map { $0.promptIDs.count + $0.responseIDs.count }, tokenBudget: options.tokenBudget,
            ranks: processes)
        return try session.attempt { generation in
            var statistics = BatchStatistics(), done = TorchJournal.Step()
            for pass in batch.passes {
                let members = sequences[pass.sequences]
                let count = members.reduce(0) { $0 + $1.responseIDs.count }
                let forward = TorchMessage("forward", members, rankCounts: pass.rankCounts)
                let answer = try session.call(forward, generation)
                let current = try answer.floats("logprobs", count: count)
                statistics.add(entropies: try answer.floats("entropies", count: count))
                var values: [Float] = []
                values.reserveCapacity(count)
                for (index, sequence) in zip(members.indices, members) {
                    let own = Array(current[values.count..<values.count + sequence.responseIDs.count])
                    values += gradient(index, own, &statistics)
                }
                let backward = TorchMessage("backward", floats: [("gradient", values)])
                _ = try session.call(backward, generation)
                done.passes.append((forward, backward))
            }
            gate.waitUntilReleased()
            let isSound = statistics.loss.isFinite
            done.update = update(learningRate: learningRate, applies: isSound)
            let answer = try session.call(done.update, generation)
            let applied = answer.fields["applied"]?.bool ?? false
            if applied { session.note(done) }
            guard answer.fields["finite"]?.bool ?? false else {
                throw EngineError(
                    "step \(version + 1): a weight is not finite after the update, which is in no checkpoint; go on "
                        + "from the last checkpoint as another run, with --from and a lower training.learning_rate")
            }
            return StepResult(
                statistics: statistics, gradNorm: answer.fields["norm"]?.double ?? .nan, applied: applied)
        }
    }

    private func update(learningRate: Double, applies: Bool) -> TorchMessage {
        let optimizer = options.optimizer
        return TorchMessage(
            "step",
            [
                "learning_rate": .number(Double(Float(learningRate))), "beta1": .number(Double(optimizer.beta1)),
                "beta2": .number(Double(optimizer.beta2)), "epsilon": .number(Double(optimizer.epsilon)),
                "weight_decay": .number(Double(optimizer.weightDecay)),
                "clip_grad_norm": .number(Double(optimizer.clipGradNorm)), "apply": .bool(applies),
            ])
    }

    package func writeWeights(to place: WeightPlace) throws {
        guard place.memory.bytes.count == weightManifest.byteCount else {
            throw EngineError(
                "the place for version \(place.version) has \(place.memory.bytes.count) bytes, but the weights "
                    + "\(weightManifest.byteCount)")
        }
        try session.attempt { generation in
            if let path = place.path {
                _ = try session.call(TorchMessage("snapshot", ["path": .string(path)]), generation)
            } else {
                try writeThroughFile(into: place.memory.bytes, generation)
            }
        }
    }

    /// Memory of this process is nobody else's: the weights come by way of a file.
    private func writeThroughFile(into memory: UnsafeMutableRawBufferPointer, _ generation: Int) throws {
        guard let folder = session.folder else {
            throw TorchFailure.died(reason: "was started anew", canBeTriedAgain: true)
        }
        let path = "\(folder)/snapshot"
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        defer { if descriptor >= 0 { _ = close(descriptor) } }
        guard descriptor >= 0, posix_fallocate(descriptor, 0, off_t(memory.count)) == 0 else {
            throw EngineError("\(path) cannot be written: no room for \(memory.count) bytes")
        }
        defer { unlink(path) }
        _ = try session.call(TorchMessage("snapshot", ["path": .string(path)]), generation)
        var filled = 0
        while filled < memory.count {
            let count = pread(descriptor, memory.baseAddress! + filled, memory.count - filled, off_t(filled))
            guard count > 0 else { throw EngineError("\(path) cannot be read") }
            filled += count
        }
    }

    package func holdState() -> HeldState {
        let session = session, gate = gate
        gate.hold()
        return HeldState(
            write: { folder in
                try session.attempt { generation in
                    try session.call(
                        TorchMessage("save", ["folder": .string(folder)]), makingStateOf: folder, generation)
                }
            }, release: { gate.release() })
    }

    package func restore(from folder: String) throws {
        try session.attempt { generation in
            try session.call(
                TorchMessage("restore", ["folder": .string(folder)]), makingStateOf: folder, generation)
        }
    }
}

extension ModelFiles {
    /// - Throws: ``EngineRefusal`` when this model cannot have such adapters.
    fileprivate func adapterLayout(_ options: AdapterOptions) throws(EngineRefusal) -> AdapterLayout {
        do {
            return try AdapterLayout(configuration, AdapterShape(options))
        } catch {
            throw EngineRefusal(.adapters, "\(error)")
        }
    }
}

extension AdapterShape {
    init(_ options: AdapterOptions) {
        let targets = options.targets.isEmpty ? Target.allCases : options.targets.compactMap { .init(rawValue: $0) }
        self.init(rank: options.rank, alpha: options.alpha, targets: Set(targets))
    }
}

extension ElementType {
    init(_ type: WeightType) { self = type == .f32 ? .f32 : .bf16 }
}

extension WeightManifest {
    /// Describes what the native engine would send out of the same model: its workers take these weights too.
    fileprivate init(_ layout: BroadcastLayout, matrixType: WeightType) {
        self.init(
            matrixType: matrixType,
            tensors: layout.entries.map {
                Tensor(
                    name: $0.name, shape: $0.shape, type: $0.type == .f32 ? .f32 : .bf16, byteOffset: $0.byteOffset)
            }, byteCount: layout.byteCount)
    }

    fileprivate var json: JSONValue {
        let listed = tensors.map { tensor -> JSONValue in
            [
                "name": .string(tensor.name), "shape": .array(tensor.shape.map { .integer($0) }),
                "type": .string(tensor.type.rawValue), "byteOffset": .integer(tensor.byteOffset),
            ]
        }
        return ["tensors": .array(listed), "byteCount": .integer(byteCount)]
    }
}
