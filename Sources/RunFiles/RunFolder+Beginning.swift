import Files
import Glibc

/// How a run's folder begins, and what becomes of one in which no run began.
extension RunFolder {
    /// What only runs make, and nothing in it worth keeping before the first step.
    private static let own: Set<String> = [
        "checkpoints", "logs", "config.yaml", "endpoint", "metrics.jsonl", "samples.jsonl", "suspects.jsonl", "initial",
        "spans.jsonl", "spans-earlier.jsonl", "tensorboard", "copy-id", "fetched", "fetching", "terms",
    ]

    /// Whether runs make what has this name in their folders; what was set aside has a number.
    package static func makes(_ name: String) -> Bool {
        if own.contains(name) || name == "trackers" { return true }
        return ["metrics", "samples", "suspects"].contains { stem in
            guard name.hasPrefix("\(stem)-"), name.hasSuffix(".jsonl") else { return false }
            let number = name.dropFirst(stem.count + 1).dropLast(".jsonl".count)
            return !number.isEmpty && number.allSatisfy(\.isNumber)
        }
    }

    /// Whether no step was done in it, and it has no file that no run makes.
    private var isUnused: Bool {
        guard let names = try? FileTree.names(in: path) else { return false }
        guard Self.own.isSuperset(of: names), !hasLivingTerm else { return false }
        // Of a fetch that was cut off everything is elsewhere still.
        return cutOffFetch != nil
            || !hasRecords
    }

    /// Whether a learner owns it that is not known to be gone.
    private var hasLivingTerm: Bool {
        let terms = TermFolder(self)
        do {
            guard let sight = try terms.sight() else { return false }
            return !terms.isDead(sight, host: HostID.current())
        } catch {
            return true
        }
    }

    /// Whether a step was recorded, or a checkpoint written.
    package var hasRecords: Bool {
        FileTree.hasContent(metrics) || FileTree.hasContent(samples)
            || CheckpointStore(folder: checkpoints).latest() != nil
    }

    /// Whether there is a run that can be gone on with: a step was done, or a checkpoint written.
    package var hasBegun: Bool { FileTree.leadsToFolder(path) && !isUnused }

    /// Removes the folder of a run that ended before its first step, such as one whose configuration was refused, so
    /// that the mended run is not refused for it. Does nothing when there is a checkpoint, a metric, or a file that no
    /// run makes.
    package func removeIfUnused() {
        if isUnused { try? FileTree.remove(path) }
    }

    /// Claims the folder for the command that made it, before anything is written there, until the claim is let go or
    /// the process ends. A start that is under way is not taken for one that failed.
    /// - Returns: nil where another process has claimed it.
    package func claim() -> RunFolderLock? { RunFolderLock(logs) }

    /// Whether this is the folder of a start that failed: something was written there, no step was done, and no process
    /// uses it.
    var isFailedStart: Bool {
        guard isUnused, FileTree.leadsToFolder(checkpoints), (try? FileTree.names(in: logs))?.isEmpty == false,
            let claim = claim(), let lock = RunFolderLock(path)
        else { return false }
        return withExtendedLifetime((claim, lock)) { true }
    }

    /// Checks that a new run can have this folder, and touches nothing.
    /// - Parameter hasAgain: whether the command can begin anew (`--again`), for the refusal.
    package static func check(_ path: String, hasAgain: Bool = false) throws(RunFolderError) {
        let folder = RunFolder(path)
        guard FileTree.kind(folder.path) != .missing else { return }
        guard FileTree.leadsToFolder(folder.path) else {
            throw RunFolderError("\(folder.path) is not a folder; choose another name or run_folder")
        }
        guard folder.isFailedStart else {
            throw RunFolderError(
                "\(folder.path) exists; continue it with --resume\(hasAgain ? ", begin anew with --again" : "") or choose "
                    + "another name")
        }
    }
}

extension RunFolderLock {
    /// - Returns: nil where the folder cannot be opened, or another has the lock.
    fileprivate convenience init?(_ folder: String) {
        guard let file = try? OpenFile(folder, .readOnly, .directory),
            flock(file.descriptor.rawValue, LOCK_EX | LOCK_NB) == 0
        else { return nil }
        self.init(file)
    }
}
