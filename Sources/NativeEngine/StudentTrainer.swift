import Compute
import Distillation
import Engines
import Foundation
import Locking
import Models
import Rules
import StudentWeights
import Training
import Transformers
import Wire

/// The learner's engine: master weights, optimizer and the training step, on a thread of its own.
package actor StudentTrainer: BatchTrainer {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var arithmetic: String? { ComputeContext.arithmetic }
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let files: ModelFiles
    private let trainer: Trainer
    package nonisolated let weightManifest: WeightManifest
    package nonisolated let teacherHeads: [String: SharedHead]
    private let gate = UpdateGate()

    /// Loads the student's weights as masters, or as what lies below adapters.
    /// - Parameters:
    ///   - tokenBudget: most tokens of one forward and backward pass.
    ///   - heads: of teachers with whose whole distributions the student is compared, by label.
    ///   - averages: of the weights that are kept for teachers, by label, with their decay.
    ///   - adapters: what alone is trained, and the seed of its beginning; nil: all weights are trained.
    package init(
        _ files: ModelFiles, type: ElementType, threads: Int, options: OptimizerOptions, tokenBudget: Int,
        adapters: (layout: AdapterLayout, seed: UInt64)? = nil,
        heads: [String: (files: ModelFiles, type: ElementType)] = [:], averages: [String: Double] = [:]
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
        weightManifest = WeightManifest(layout, computedIn: type.weightType)
        for (label, teacher) in heads.sorted(by: { $0.key < $1.key }) {
            trainer.teacherHeads[label] = try TeacherHead(teacher.files, type: teacher.type, context: trainer.context)
        }
        for (label, decay) in averages { trainer.keepAverage(label, decay: decay) }
        teacherHeads = trainer.teacherHeads.mapValues { SharedHead($0.identity) }
        self.trainer = trainer
    }

    package func step(_ batch: TrainingBatch, learningRate: Double, version: UInt64) throws -> StepResult {
        var statistics = BatchStatistics(), readings: [TokenReadings] = []
        trainer.comparison = batch.comparison.map {
            TeacherComparison(
                HeadDivergence($0.divergence), weight: Float($0.weight), listing: $0.listing.map(HeadListing.init))
        }
        let result = trainer.step(
            batch.sequences.map(TrainingSequence.init), learningRate: Float(learningRate),
            beforeUpdate: {
                gate.waitUntilReleased()
                return statistics.loss.isFinite
            },
            pulls: { index, evaluation in batch.pulls(index, evaluation.classes, &statistics) },
            listedPulls: { batch.listedPulls(ListedTokens($0), &statistics) },
            compared: { index, found in batch.compared(index, DistributionComparison(found), &statistics) }
        ) { index, evaluation in
            if batch.sequences[index].isMeasured {
                statistics.add(entropies: evaluation.entropies)
                readings.append(TokenReadings(logprobs: evaluation.logprobs, entropies: evaluation.entropies))
            }
            return batch.gradient(index, evaluation.logprobs, &statistics)
        }
        guard result.leavesFinite else { throw EngineError.spoiltWeights(afterStep: version + 1) }
        return StepResult(
            statistics: statistics, gradNorm: result.gradientNorm, applied: result.applied, readings: readings)
    }

    package func writeWeights(to place: WeightPlace) throws {
        try check(place)
        place.memory.withBytes { trainer.writeBroadcast(into: $0) }
    }

    package func writeAverage(of teacher: String, to place: WeightPlace) throws {
        try check(place)
        guard let average = trainer.averages[teacher] else {
            throw EngineError("no average of the weights is kept for teacher '\(teacher)'")
        }
        place.memory.withBytes { trainer.writeBroadcast(of: average, into: $0) }
    }

    private func check(_ place: WeightPlace) throws(EngineError) {
        guard place.memory.bytes.count == weightManifest.byteCount else {
            throw EngineError(
                "the place for version \(place.version) has \(place.memory.bytes.count) bytes, but the weights "
                    + "\(weightManifest.byteCount)")
        }
    }

    package func holdState() -> HeldState {
        let held = HeldTrainer(trainer: trainer), files = files, gate = gate
        gate.hold()
        return HeldState(
            write: { folder in
                try held.trainer.saveModel(to: folder + "/model", copyingTokenizerFrom: files)
                try held.trainer.saveAdapters(to: folder + "/adapter", base: files)
                try held.trainer.saveAverages(to: folder + "/averages", base: files)
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
        try trainer.loadAverages(from: folder + "/averages")
        try trainer.loadOptimizer(from: folder + "/optimizer.safetensors")
    }
}

extension TrainingSequence {
    fileprivate init(_ sequence: TrainingBatch.Sequence) {
        self.init(
            sequence.tokens, temperature: sequence.temperature, reading: sequence.isDrawn ? .drawn : .text,
            classIDs: sequence.classes?.ids ?? [], classCounts: sequence.classes?.counts)
        if let hidden = sequence.hidden {
            compare(with: TeacherStates(label: sequence.teacher, bytes: hidden.bytes))
        }
    }
}

extension DistributionComparison {
    init(_ found: ResponseComparison) {
        self.init(
            divergences: found.divergences, teacherEntropies: found.teacherEntropies,
            teachersChoices: found.teachersChoices)
    }
}

extension HeadListing {
    init(_ listing: TokenListing) {
        switch listing {
        case .student(let count): self.init(count: count, hasTeachers: false)
        case .union(let count): self.init(count: count, hasTeachers: true)
        }
    }
}

extension ListedTokens {
    init(_ classes: ListedClasses) {
        self.init(widths: classes.widths, student: classes.student, teacher: classes.teacher)
    }
}

extension HeadDivergence {
    init(_ divergence: Divergence) {
        switch divergence {
        case .reverseKL: self.init(Kind.reverseKL)
        case .forwardKL: self.init(Kind.forwardKL)
        case .jensenShannon(let beta): self.init(.jensenShannon, parameter: Float(beta))
        case .skewKL(let skew): self.init(.skewKL, parameter: Float(skew))
        case .skewReverseKL(let skew): self.init(.skewReverseKL, parameter: Float(skew))
        }
    }
}

/// `@unchecked Sendable`: the writer's thread reads masters, averages, moments and the step count only, which nothing but an
/// update changes, and updates wait at the gate.
private struct HeldTrainer: @unchecked Sendable {
    let trainer: Trainer
}
