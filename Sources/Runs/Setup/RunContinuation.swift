import Configuration
import Exchange
import Files
import Foundation
import Locking
import Logging
import Pipeline
import RunFiles
import Wording

/// How a run goes on from a checkpoint, of its own or of another run.
struct RunContinuation {
    /// The configuration as the user gave it.
    let configuration: RunConfiguration
    let folder: RunFolder
    let store: CheckpointStore
    let plan: RunPlan
    /// The identity of the student's tokenizer.
    let tokenizerFingerprint: String
    /// The folder of the term in which the run goes on; nil: it has none.
    let staging: String?
    let logger: Logger

    /// The newest undamaged checkpoint with its state; nil when the run has none at all and so starts again.
    func restorePoint() async throws -> (checkpoint: Checkpoint, state: CheckpointState)? {
        let store = store, logger = logger
        // Every byte is read: on a thread, for it takes a while.
        let found = await onThread("opd-checkpoint") {
            Result {
                try store.latestIntact { checkpoint, flaw in
                    logger.warning("\(checkpoint.path) is damaged and is not used: \(flaw)")
                }
            }
        }
        guard let checkpoint = try found.get() else {
            logger.notice("\(folder.path) has no checkpoint: starting from the first step")
            for path in try folder.setAside(through: staging) {
                logger.notice("kept what an earlier start recorded in \(path)")
            }
            return nil
        }
        let state = try check(checkpoint.path, .resume)
        logger.notice("going on from \(checkpoint.path)")
        return (checkpoint, state)
    }

    /// Takes another run's checkpoint over as this run's first.
    func adopt(_ path: String) async throws {
        var source = path
        while source.count > 1, source.hasSuffix("/") { source.removeLast() }
        if FileTree.kind("\(source)/\(CheckpointState.fileName)") == .missing {
            guard let latest = CheckpointStore(folder: RunFolder(source).checkpoints).latest() else {
                throw UsageError(
                    "--from \(path): neither a checkpoint nor the folder of a run that has one")
            }
            source = latest.path
        }
        let folder = source
        let flaw = await onThread("opd-checkpoint") { CheckpointManifest.flaw(in: folder) }
        if let flaw { throw UsageError("--from \(folder): the checkpoint is damaged: \(flaw)") }
        let state = try check(folder, .fork)
        let text = configuration.yaml(), store = store
        let saved = await onThread("opd-checkpoint") {
            Result {
                try store.save(step: Int(state.step)) { new in
                    try Self.copyFiles(of: folder, to: new)
                    try FileTree.write(text, to: "\(new)/\(CheckpointState.configurationName)")
                }
            }
        }
        let checkpoint = try saved.get()
        try FileTree.remove(self.folder.fetched)
        logger.notice("forked from \(source): \(checkpoint.path)")
    }

    /// Copies what a checkpoint's manifest lists, which is what its engine wrote and the state; not the configuration
    /// that made it.
    private static func copyFiles(of checkpoint: String, to new: String) throws {
        for name in CheckpointManifest.fileNames(in: checkpoint) where name != CheckpointState.configurationName {
            let target = URL(fileURLWithPath: "\(new)/\(name)")
            try FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: "\(checkpoint)/\(name)", toPath: target.path)
        }
    }

    /// The state of a checkpoint, when this configuration may go on from it.
    private func check(
        _ folder: String, _ continuation: RunConfiguration.Continuation
    ) throws -> CheckpointState {
        let state = try CheckpointState.read(from: folder)
        let path = "\(folder)/\(CheckpointState.configurationName)"
        let text: String
        do {
            text = try FileTree.read(path, limit: 1 << 24)
        } catch {
            guard continuation == .resume else {
                throw UsageError(
                    "--from \(folder): \(error); without the configuration that made it nobody can tell what would change: "
                        + "give a checkpoint that has its \(CheckpointState.configurationName)")
            }
            throw LearnerError(.invalidCheckpoint, "\(error); remove this checkpoint to use an earlier one")
        }
        let old = try RunConfiguration.parse(text, source: path, requiring: []).configuration
        let changes = configuration.refusedChanges(since: old, to: continuation)
        if !changes.isEmpty {
            throw UsageError(
                "\(changes.joined(separator: ", ")) in the checkpoint of step \(state.step); change it back, or "
                    + (continuation == .resume
                        ? "go on as another run, with another name and --from \(folder)" : "start another run"))
        }
        do {
            try state.check(continuedBy: plan, tokenizerFingerprint: tokenizerFingerprint)
        } catch {
            // Only a changed configuration can fail here. (A `where` clause on this catch crashes Swift 6.3's optimizer.)
            throw UsageError(error.message)
        }
        return state
    }
}
