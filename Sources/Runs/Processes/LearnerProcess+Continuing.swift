import Configuration
import Exchange
import Files
import Foundation
import Locking
import Logging
import Pipeline
import RunFiles
import Tokenizers
import Wording

extension LearnerProcess {
    /// Where a learner begins.
    package enum Start: Sendable, Equatable {
        case fresh
        /// From the last intact checkpoint of the run, if there is one.
        case resume
        /// From a checkpoint of another run: its folder, or that of the run.
        case from(String)
    }

    /// The newest undamaged checkpoint with its state; nil when the run has none at all and so starts again.
    static func restorePoint(
        _ store: CheckpointStore, _ folder: RunFolder, _ configuration: RunConfiguration, _ plan: RunPlan,
        _ tokenizer: Tokenizer, _ logger: Logger
    ) async throws -> (checkpoint: Checkpoint, state: CheckpointState)? {
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
            for path in try folder.setAside() { logger.notice("kept what an earlier start recorded in \(path)") }
            return nil
        }
        let state = try check(checkpoint.path, .resume, configuration, plan, tokenizer)
        logger.notice("going on from \(checkpoint.path)")
        return (checkpoint, state)
    }

    /// Takes another run's checkpoint over as this run's first.
    static func adopt(
        _ path: String, _ store: CheckpointStore, _ configuration: RunConfiguration, _ plan: RunPlan,
        _ tokenizer: Tokenizer, _ logger: Logger
    ) async throws {
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
        let state = try check(folder, .fork, configuration, plan, tokenizer)
        let text = configuration.yaml()
        let saved = await onThread("opd-checkpoint") {
            Result {
                try store.save(step: Int(state.step)) { new in
                    // What the engine has written is its own affair.
                    let anew = [Checkpoint.manifestName, CheckpointState.configurationName]
                    for name in try FileTree.names(in: folder) where !anew.contains(name) {
                        try FileManager.default.copyItem(atPath: "\(folder)/\(name)", toPath: "\(new)/\(name)")
                    }
                    try FileTree.write(text, to: "\(new)/\(CheckpointState.configurationName)")
                }
            }
        }
        let checkpoint = try saved.get()
        logger.notice("forked from \(folder): \(checkpoint.path)")
    }

    /// The state of a checkpoint, when this configuration may go on from it.
    private static func check(
        _ folder: String, _ continuation: RunConfiguration.Continuation, _ configuration: RunConfiguration,
        _ plan: RunPlan, _ tokenizer: Tokenizer
    ) throws -> CheckpointState {
        let state = try CheckpointState.read(from: folder)
        let path = "\(folder)/\(CheckpointState.configurationName)"
        // Those of earlier builds have none.
        if let text = FileTree.read(path, limit: 1 << 24) {
            let old = try RunConfiguration.parse(text, source: path, requiring: []).configuration
            let changes = configuration.refusedChanges(since: old, to: continuation)
            if !changes.isEmpty {
                throw UsageError(
                    "\(changes.joined(separator: ", ")) in the checkpoint of step \(state.step); change it back, or "
                        + (continuation == .resume
                            ? "go on as another run, with another name and --from \(folder)" : "start another run"))
            }
        }
        do {
            try state.check(continuedBy: plan, tokenizerFingerprint: tokenizer.fingerprint)
        } catch {
            // Only a changed configuration can fail here. (A `where` clause on this catch crashes Swift 6.3's optimizer.)
            throw UsageError(error.message)
        }
        return state
    }
}
