import Engines
import Files
import Locking
import Logging
import RunFiles

/// Saves the checkpoints of a run, one after the other, while training goes on: the files are written on a thread of
/// their own, and the next step goes as far as its update meanwhile.
///
/// A failure is a warning, and the run goes on with the last good checkpoint.
package actor CheckpointSaver {
    private struct Progress {
        var isWriting = false
        var longest: Duration?
        /// Begin and end of checkpoints of which nobody has asked yet.
        var written: [Range<ContinuousClock.Instant>] = []
    }

    /// More are not kept until somebody asks.
    private static let mostWritten = 64

    private let store: CheckpointStore
    private let schedule: CheckpointSchedule
    private let configurationText: String
    private let copies: (any CheckpointCopying)?
    private let logger: Logger
    private let progress = Locked(Progress())
    private var writing: Task<Void, Never>?
    /// What the newest checkpoint holds.
    private var saved: CheckpointState?
    /// Why the last state is in no checkpoint.
    package private(set) var failure: String?

    /// - Parameters:
    ///   - options: when there are checkpoints, what is kept beside the state, and who copies them.
    ///   - saved: what the newest checkpoint holds already.
    package init(
        _ store: CheckpointStore, _ options: RunOptions, saved: CheckpointState?, logger: Logger
    ) {
        self.store = store
        schedule = options.checkpoints
        configurationText = options.configurationText
        copies = options.copies
        self.saved = saved
        self.logger = logger
    }

    package nonisolated var isWriting: Bool { progress.withLock { $0.isWriting } }

    /// What the longest save took; nil before the first.
    package nonisolated var longest: Duration? { progress.withLock { $0.longest } }

    /// Begin and end of the checkpoints that were written since the last call.
    package nonisolated func takeWritten() -> [Range<ContinuousClock.Instant>] {
        progress.withLock { progress in
            defer { progress.written = [] }
            return progress.written
        }
    }

    /// Begins to save a model beside which the run needs no weights.
    package func save(_ state: CheckpointState, of model: any TrainedModel) async {
        await save(state, of: model, earlier: [])
    }

    /// Begins to save `model` as it is now, once an earlier checkpoint is written; does nothing where the newest holds
    /// that very state.
    /// - Parameter earlier: weights of earlier versions that the run needs too.
    func save(
        _ state: CheckpointState, of model: any TrainedModel, earlier: [(EarlierWeights, WeightBytes)]
    ) async {
        await finish()
        guard state != saved else { return }
        let begun = ContinuousClock.now
        let held = await model.holdState()
        progress.withLock { $0.isWriting = true }
        writing = Task {
            let result = await write(state, held, earlier)
            switch result {
            case .success:
                saved = state
                failure = nil
            case .failure(let error): failure = "\(error)"
            }
            progress.withLock {
                $0.isWriting = false
                let ended = max(begun, ContinuousClock.now)
                $0.longest = max($0.longest ?? .zero, ended - begun)
                if $0.written.count < Self.mostWritten { $0.written.append(begun..<ended) }
            }
        }
    }

    /// Waits for what is being written.
    package func finish() async {
        await writing?.value
        writing = nil
    }

    /// Writes a checkpoint, and removes old ones once it is there.
    private func write(
        _ state: CheckpointState, _ held: HeldState, _ earlier: [(EarlierWeights, WeightBytes)]
    ) async -> Result<Void, any Error> {
        let store = store, configurationText = configurationText
        let result = await onThread("opd-checkpoint") {
            defer { withExtendedLifetime(held) {} }
            return Result {
                try store.save(step: Int(state.step)) { folder in
                    try held.write(to: folder)
                    for (weights, bytes) in earlier { try weights.write(bytes, to: folder) }
                    try state.write(to: folder)
                    try FileTree.write(configurationText, to: "\(folder)/\(CheckpointState.configurationName)")
                }
            }
        }
        do {
            let checkpoint = try result.get()
            logger.info("saved \(checkpoint.path)")
            copies?.saved(checkpoint)
            try store.prune(keepLast: schedule.keepLast, keepEvery: Int(schedule.keepEvery))
        } catch {
            logger.warning("\(error)")
        }
        return result.map { _ in }
    }
}
