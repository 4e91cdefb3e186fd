import Compute
import Distillation
import Engines
import Foundation
import Locking
import Models
import Training
import Wire

/// The learner's engine: master weights, optimizer and the training step, on a thread of its own.
package actor StudentTrainer: TrainingBackend, SupervisedBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var arithmetic: String { ComputeContext.arithmetic }
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let files: ModelFiles
    private let trainer: Trainer
    package nonisolated let weightManifest: WeightManifest
    private let gate = UpdateGate()

    /// Loads the student's weights as masters, or as what lies below adapters.
    /// - Parameters:
    ///   - tokenBudget: most tokens of one forward and backward pass.
    ///   - adapters: what alone is trained, and the seed of its beginning; nil: all weights are trained.
    package init(
        _ files: ModelFiles, type: ElementType, threads: Int, options: OptimizerOptions, tokenBudget: Int,
        adapters: (layout: AdapterLayout, seed: UInt64)? = nil
    ) throws {
        self.files = files
        tokenizerFingerprint = try files.loadTokenizer().fingerprint
        executor = PinnedThreadExecutor(name: "trainer")
        let weights = try ParameterBuffer(reading: files)
        let trainer =
            if let adapters {
                Trainer(
                    configuration: files.configuration, base: weights,
                    adapters: Adapters(layout: adapters.layout, seed: adapters.seed), type: type, threads: threads,
                    options: options, tokenBudget: tokenBudget)
            } else {
                Trainer(
                    configuration: files.configuration, masters: weights, type: type, threads: threads,
                    options: options, tokenBudget: tokenBudget)
            }
        let layout = trainer.adaptation?.snapshot.manifest ?? trainer.broadcastLayout.manifest
        weightManifest = WeightManifest(layout, computedIn: type)
        self.trainer = trainer
    }

    package func step(
        _ batch: [ScoredTrajectory], objective: Objective, learningRate: Double, version: UInt64
    ) throws -> StepResult {
        let tokenCount = responseTokenCount(batch)
        let baseline = objective.baseline(of: batch), rewards = objective.rewardAdvantages(of: batch)
        let sequences = batch.map {
            TrainingSequence(
                promptIDs: $0.trajectory.promptIDs, responseIDs: $0.trajectory.responseIDs,
                temperature: objective.temperature(of: $0.trajectory), reading: .drawn)
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
        var statistics = BatchStatistics()
        let result = trainer.step(
            sequences, learningRate: Float(learningRate),
            beforeUpdate: {
                gate.waitUntilReleased()
                return statistics.loss.isFinite
            }
        ) { index, evaluation in
            statistics.add(entropies: evaluation.entropies)
            return gradient(index, evaluation.logprobs, &statistics)
        }
        guard result.leavesFinite else {
            throw EngineError(
                "step \(version + 1): a weight is not finite after the update, which is in no checkpoint; "
                    + "go on from the last checkpoint as another run, with --from and a lower training.learning_rate")
        }
        return StepResult(statistics: statistics, gradNorm: result.gradientNorm, applied: result.applied)
    }

    package func writeWeights(to place: WeightPlace) throws {
        guard place.memory.bytes.count == weightManifest.byteCount else {
            throw EngineError(
                "the place for version \(place.version) has \(place.memory.bytes.count) bytes, but the weights "
                    + "\(weightManifest.byteCount)")
        }
        place.memory.withBytes { trainer.writeBroadcast(into: $0) }
    }

    package func holdState() -> HeldState {
        let held = HeldTrainer(trainer: trainer), files = files, gate = gate
        gate.hold()
        return HeldState(
            write: { folder in
                try held.trainer.saveModel(to: folder + "/model", copyingTokenizerFrom: files)
                try held.trainer.saveAdapters(to: folder + "/adapter", base: files)
                try held.trainer.saveOptimizer(to: folder + "/optimizer.safetensors")
            }, release: { gate.release() })
    }

    package func restore(from folder: String) throws {
        if trainer.trainsAdapters {
            guard try trainer.hasBase(ofAdaptersIn: folder + "/adapter") else {
                throw EngineRefusal(
                    .model,
                    "\(files.path) is not the model that the adapters of \(folder) were trained on; give that one")
            }
            try trainer.loadAdapters(from: folder + "/adapter")
        } else {
            try trainer.loadModel(from: folder + "/model")
        }
        try trainer.loadOptimizer(from: folder + "/optimizer.safetensors")
    }
}

/// `@unchecked Sendable`: the writer's thread reads masters, moments and the step count only, which nothing but an
/// update changes, and updates wait at the gate.
private struct HeldTrainer: @unchecked Sendable {
    let trainer: Trainer
}
