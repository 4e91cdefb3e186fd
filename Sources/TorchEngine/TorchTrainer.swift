import Distillation
import Engines
import Foundation
import JSON
import Locking
import Wire

/// The learner's engine in processes of torch: they have the weights and compute s; the method is computed here.
package actor TorchTrainer: BatchTrainer {
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
        let (model, session) = try TorchModel.started(model, reference, use: .train, threads: options.threads)
        tokenizerFingerprint = model.tokenizerFingerprint
        weightManifest = model.manifest
        self.options = options
        processes = reference.processes
        self.session = session
        executor = PinnedThreadExecutor(name: "torch")
    }

    package func step(_ batch: TrainingBatch, learningRate: Double, version: UInt64) throws -> StepResult {
        guard !batch.hasClasses else { throw EngineError.noClasses }
        guard batch.sequences.allSatisfy(\.tokens.given.isEmpty) else { throw EngineError.noGivenTokens }
        let sequences = batch.sequences
        let passes = TorchBatch(
            tokenCounts: sequences.map(\.tokens.count), tokenBudget: options.tokenBudget, ranks: processes
        ).passes
        return try session.attempt { generation in
            var statistics = BatchStatistics(), done = TorchJournal.Step(), readings: [TokenReadings] = []
            for pass in passes {
                let members = sequences[pass.sequences]
                let count = members.reduce(0) { $0 + $1.responseIDs.count }
                let forward = TorchMessage("forward", members, rankCounts: pass.rankCounts)
                let answer = try session.call(forward, generation)
                let current = try answer.floats("logprobs", count: count)
                let entropies = try answer.floats("entropies", count: count)
                var values: [Float] = []
                values.reserveCapacity(count)
                for (index, sequence) in zip(members.indices, members) {
                    let places = values.count..<values.count + sequence.responseIDs.count
                    let own = Array(current[places])
                    if sequence.isMeasured {
                        statistics.add(entropies: entropies[places])
                        readings.append(TokenReadings(logprobs: own, entropies: Array(entropies[places])))
                    }
                    values += batch.gradient(index, own, &statistics)
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
                throw EngineError.spoiltWeights(afterStep: version + 1)
            }
            return StepResult(
                statistics: statistics, gradNorm: answer.fields["norm"]?.double ?? .nan, applied: applied,
                readings: readings)
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
