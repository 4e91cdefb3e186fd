import Compute
import Distillation
import Models
import Training

/// The learner's engine: master weights, optimizer and the training step, on a thread of its own.
public actor StudentTrainer: TrainingBackend {
    public nonisolated let tokenizerFingerprint: String
    private nonisolated let executor: PinnedThreadExecutor
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let files: ModelFiles
    private let trainer: Trainer

    /// Loads the student's weights as masters.
    /// - Parameter tokenBudget: most tokens of one forward and backward pass.
    public init(
        _ files: ModelFiles, type: ElementType, threads: Int, options: OptimizerOptions, tokenBudget: Int
    ) throws {
        self.files = files
        tokenizerFingerprint = try files.loadTokenizer().fingerprint
        executor = PinnedThreadExecutor(name: "trainer")
        trainer = Trainer(
            configuration: files.configuration, masters: try ParameterBuffer(reading: files), type: type,
            threads: threads, options: options, tokenBudget: tokenBudget)
    }

    public func step(
        _ batch: [ScoredTrajectory], objective: Distillation.Objective, learningRate: Double, version: UInt64
    ) throws -> StepResult {
        let tokenCount = responseTokenCount(batch)
        var statistics = BatchStatistics()
        let result = trainer.step(
            batch.map {
                TrainingSequence(
                    promptIDs: $0.trajectory.promptIDs, responseIDs: $0.trajectory.responseIDs,
                    temperature: $0.trajectory.temperature)
            }, learningRate: Float(learningRate)
        ) { index, evaluation in
            statistics.add(entropies: evaluation.entropies)
            return objective.gradient(
                of: batch[index], current: evaluation.logprobs, tokenCount: tokenCount, version: version,
                statistics: &statistics)
        }
        guard result.applied else {
            throw EngineError(
                "step \(version + 1): the gradient is not finite, so the weights were left as they were; "
                    + "lower training.learning_rate or clip the ratio, and continue from the last checkpoint")
        }
        return StepResult(statistics: statistics, gradNorm: result.gradientNorm)
    }

    public func withSnapshot<Result: Sendable>(
        _ body: @Sendable (_ snapshot: TrainedWeights) throws -> Result
    ) throws -> Result {
        let bytes = WeightBytes(count: trainer.broadcastLayout.byteCount) { trainer.writeBroadcast(into: $0) }
        return try body(TrainedWeights(bytes: bytes, elementType: trainer.type.rawValue))
    }

    public func withWriter<Result: Sendable>(
        _ body: @Sendable (_ write: (_ folder: String) throws -> Void) throws -> Result
    ) throws -> Result {
        try body { folder in
            try trainer.saveModel(to: folder + "/model", copyingTokenizerFrom: files)
            try trainer.saveOptimizer(to: folder + "/optimizer.safetensors")
        }
    }

    public func restore(from folder: String) throws {
        try trainer.loadModel(from: folder + "/model")
        try trainer.loadOptimizer(from: folder + "/optimizer.safetensors")
    }
}
