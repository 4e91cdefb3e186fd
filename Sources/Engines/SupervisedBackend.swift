import Distillation

/// A model that imitates given responses: what a supervised run needs of an engine.
package protocol SupervisedBackend: TrainedModel {
    /// One optimizer step on the mean cross-entropy of the batch's response tokens; as exact, and as careful with what is
    /// not finite, as `TrainingBackend.step`.
    /// - Parameter version: completed steps before this one.
    func step(_ examples: [SupervisedExample], learningRate: Double, version: UInt64) async throws -> StepResult
}
