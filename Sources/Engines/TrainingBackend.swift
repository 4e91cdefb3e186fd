import Distillation
import Wire

/// A model under training, on whatever data: its weights can be sent out, written and read.
///
/// Conformers are actors on a thread of their own. One learner calls them, one call at a time.
package protocol TrainedModel: Backend {
    /// What its weights are as rollout workers take them: the same for every version.
    var weightManifest: WeightManifest { get }

    /// Writes the weights as they are now to `place`, which is of the size and the manifest that this tells. They are
    /// complete there when it returns, whoever has written them.
    func writeWeights(to place: WeightPlace) async throws

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
    /// The teachers' heads that it has read, by label.
    var teacherHeads: [String: SharedHead] { get }

    /// Writes the average of the weights that a teacher of `TrainerOptions.averages` has, as it is now, as
    /// `writeWeights(to:)` does.
    func writeAverage(of teacher: String, to place: WeightPlace) async throws

    /// One optimizer step. `batch` is sorted by id, so that the samples of a group are neighbours; the result depends
    /// on the batch, the objective, the learning rate and the state, and on nothing else.
    ///
    /// Uses `Objective.gradient` between forward and backward pass. Where the loss or the gradient is not finite the
    /// state stays as it was. Throws when it is spoilt, and then must not be written.
    /// - Parameters:
    ///   - given: responses that are imitated beside what was sampled; nil: none.
    ///   - version: completed steps before this one.
    func step(
        _ batch: [ScoredTrajectory], given: GivenResponses?, objective: Objective, learningRate: Double, version: UInt64
    ) async throws -> StepResult
}

extension TrainingBackend {
    package var teacherHeads: [String: SharedHead] { [:] }

    /// An engine that keeps averages has its own.
    package func writeAverage(of teacher: String, to place: WeightPlace) async throws {
        throw EngineError("the engine that trains keeps no average of the weights for teacher '\(teacher)'")
    }

    /// A step in which nothing is imitated beside what was sampled.
    package func step(
        _ batch: [ScoredTrajectory], objective: Objective, learningRate: Double, version: UInt64
    ) async throws -> StepResult {
        try await step(batch, given: nil, objective: objective, learningRate: learningRate, version: version)
    }
}

/// What an optimizer step tells.
package struct StepResult: Sendable, Equatable {
    package var statistics: BatchStatistics
    /// Global norm of the gradient before clipping.
    package var gradNorm: Double
    /// Whether weights and optimizer were changed.
    package var applied: Bool
    /// What was found at the tokens of the batch's responses, in their order; none where nothing is told.
    package var readings: [TokenReadings]

    package init(
        statistics: BatchStatistics, gradNorm: Double, applied: Bool = true, readings: [TokenReadings] = []
    ) {
        self.statistics = statistics
        self.gradNorm = gradNorm
        self.applied = applied
        self.readings = readings
    }
}

/// Model and optimizer of one moment, held for as long as this lives.
package final class HeldState: Sendable {
    private let writer: @Sendable (_ folder: String) throws -> Void
    private let release: @Sendable () -> Void

    /// - Parameters:
    ///   - write: writes the state into a folder, under whatever names; called from any one thread.
    ///   - release: called once, when the state may change again.
    package init(
        write: @escaping @Sendable (_ folder: String) throws -> Void, release: @escaping @Sendable () -> Void
    ) {
        writer = write
        self.release = release
    }

    deinit { release() }

    /// Writes into a folder that exists, whose files the checkpoint's manifest lists then. Blocks the calling thread.
    package func write(to folder: String) throws { try writer(folder) }
}
