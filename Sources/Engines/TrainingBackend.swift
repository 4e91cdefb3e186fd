import Distillation

/// A model under training, on whatever data: its weights can be sent out, written and read.
///
/// Conformers are actors on a thread of their own. One learner calls them, one call at a time.
package protocol TrainedModel: Backend {
    /// Calls `body`, on the backend's own thread, with the weights as rollout workers take them.
    func withSnapshot<Result: Sendable>(
        _ body: @Sendable (_ snapshot: TrainedWeights) throws -> Result
    ) async throws -> Result

    /// Holds model and optimizer as they are now, to be written on another thread. The next step goes as far as it can
    /// meanwhile, and waits before it changes them.
    func holdState() async -> HeldState

    /// Continues from what a `HeldState` wrote. Errors name the file or tensor that is wrong; an ``EngineRefusal`` says
    /// that the state is not one of this model.
    func restore(from folder: String) async throws
}

/// A student that is trained: what the learner needs of an engine. The learner goes on answering heartbeats and granting
/// leases while one trains.
package protocol TrainingBackend: TrainedModel {
    /// One optimizer step. `batch` is sorted by id, so that the samples of a group are neighbours; the result depends
    /// on the batch, the objective, the learning rate and the state, and on nothing else.
    ///
    /// Uses `Objective.gradient` between forward and backward pass. Where the loss or the gradient is not finite the
    /// state stays as it was. Throws when it is spoilt, and then must not be written.
    /// - Parameter version: completed steps before this one.
    func step(
        _ batch: [ScoredTrajectory], objective: Objective, learningRate: Double, version: UInt64
    ) async throws -> StepResult
}

/// The trainer's weights in the form in which they are sent out, to be written where they are wanted.
package struct TrainedWeights {
    package let byteCount: Int
    /// How matrices are stored.
    package let type: WeightType
    /// What lies where; nil where the engine does not tell.
    package let manifest: WeightManifest?
    /// Writes them into `byteCount` bytes, 64-byte aligned.
    let write: (UnsafeMutableRawBufferPointer) -> Void

    package init(
        byteCount: Int, type: WeightType, manifest: WeightManifest? = nil,
        write: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) {
        self.byteCount = byteCount
        self.type = type
        self.manifest = manifest
        self.write = write
    }

    /// In memory of their own.
    package func copied() -> WeightBytes { WeightBytes(count: byteCount, initialize: write) }
}

/// What an optimizer step tells.
package struct StepResult: Sendable, Equatable {
    package var statistics: BatchStatistics
    /// Global norm of the gradient before clipping.
    package var gradNorm: Double
    /// Whether weights and optimizer were changed.
    package var applied: Bool

    package init(statistics: BatchStatistics, gradNorm: Double, applied: Bool = true) {
        self.statistics = statistics
        self.gradNorm = gradNorm
        self.applied = applied
    }
}

/// Model and optimizer of one moment, held for as long as this lives.
package final class HeldState: Sendable {
    private let writer: @Sendable (_ folder: String) throws -> [String]
    private let release: @Sendable () -> Void

    /// - Parameters:
    ///   - write: writes the state into a folder and returns what is there then; called from any one thread.
    ///   - release: called once, when the state may change again.
    package init(
        write: @escaping @Sendable (_ folder: String) throws -> [String], release: @escaping @Sendable () -> Void
    ) {
        writer = write
        self.release = release
    }

    deinit { release() }

    /// Writes into a folder that exists. Blocks the calling thread.
    /// - Returns: the names of the files and folders that hold the state.
    @discardableResult
    package func write(to folder: String) throws -> [String] { try writer(folder) }
}
