import Files
import Glibc

/// The checkpoints of a run: `step-000010/` folders in one folder, and `latest`, a link to the newest.
///
/// A checkpoint is written under a temporary name in the same folder, put on disk file by file, and only then given
/// its name: a folder with a checkpoint's name was whole when it got it, whatever crashed when. What befell it since is
/// told by its manifest. What a checkpoint holds is up to who writes it. For one writer; anyone may read beside it. Where
/// the writer holds a term, everything has its temporary name in the term's folder, so that nothing gets a name here once
/// another has taken the run over.
package struct CheckpointStore: Sendable {
    /// Where the checkpoints are.
    package let folder: String
    private let term: HeldTerm?

    private static let temporaryPrefix = ".tmp-"
    private static let linkName = "latest"

    /// Names the folder; touches nothing.
    /// - Parameter term: in which the writer owns the run; nil: the run has no terms.
    package init(folder: String, term: HeldTerm? = nil) {
        self.folder = folder
        self.term = term
    }

    /// Makes the folder and removes what crashed writes left in it. For the writer, before anything else.
    package func prepare() throws(CheckpointError) {
        do {
            try FileTree.createFolder(folder)
            for name in try FileTree.names(in: folder) where name.hasPrefix(Self.temporaryPrefix) {
                try FileTree.remove(path(name))
            }
        } catch {
            throw CheckpointError(.cannotPrepare, "\(error); checkpoints cannot be kept there")
        }
    }

    /// Writes a checkpoint, whole and on disk when this returns, and makes it the latest.
    ///
    /// A checkpoint of the same step is replaced. When anything fails, the partial folder is removed, the checkpoints
    /// there were stay as they are, and the error says why.
    ///
    /// - Parameters:
    ///   - step: training steps done, 0 or more.
    ///   - write: fills the folder whose path it is given.
    package func save(step: Int, write: (_ folder: String) throws -> Void) throws(CheckpointError) -> Checkpoint {
        precondition(step >= 0, "a step is counted from 0")
        let name = Checkpoint.name(step: step)
        let temporary = temporaryPath("\(name)-\(getpid())")
        do {
            try term?.check()
            try FileTree.remove(temporary)
            try FileTree.createFolder(temporary)
            try write(temporary)
            try CheckpointManifest.write(into: temporary)
            try FileTree.sync(tree: temporary)
            // Whoever makes folders in there makes the term's again, too, where that has gone; it has no record then.
            try term?.check()
            try place(temporary, as: path(name))
            try FileTree.sync(folder)
            try link(to: name)
        } catch {
            // Best effort: what cannot be removed now is removed at the next start.
            try? FileTree.remove(temporary)
            let kept = latest().map { "the last good one is \(Checkpoint.name(step: $0.step))" }
            throw CheckpointError(
                .cannotSave,
                "\(path(name)): the checkpoint was not written: \(reason(error, temporary)); "
                    + (kept ?? "there is none yet"))
        }
        return Checkpoint(step: step, path: path(name))
    }

    /// The checkpoint to go on from: the one `latest` names or, when the link is missing, dangling or names anything
    /// but a checkpoint of this folder, the one of the highest step.
    package func latest() -> Checkpoint? {
        if let name = FileTree.target(ofLink: path(Self.linkName)), let checkpoint = checkpoint(name) {
            return checkpoint
        }
        return list().last
    }

    /// The checkpoint to go on from whose files are all as they were written: the latest or, when that is damaged, the
    /// one before it, and so on; later ones last. It is the latest from here on. Reads whole checkpoints.
    ///
    /// - Parameter refuse: called with every damaged checkpoint on the way, and what is wrong with it.
    package func latestIntact(
        refuse: (_ checkpoint: Checkpoint, _ flaw: String) -> Void
    ) throws(CheckpointError) -> Checkpoint? {
        guard let latest = latest() else { return nil }
        let others = list().filter { $0 != latest }
        let candidates =
            [latest] + others.filter { $0.step < latest.step }.reversed()
            + others.filter { $0.step > latest.step }.reversed()
        for candidate in candidates {
            guard let flaw = candidate.flaw() else {
                if candidate != latest { try makeLatest(candidate) }
                return candidate
            }
            refuse(candidate, flaw)
        }
        throw CheckpointError(
            .noneIntact,
            "\(folder): every checkpoint is damaged; bring one back from a copy, or start another run")
    }

    private func makeLatest(_ checkpoint: Checkpoint) throws(CheckpointError) {
        do { try link(to: Checkpoint.name(step: checkpoint.step)) } catch {
            throw CheckpointError(.cannotPrepare, "\(error); checkpoints cannot be kept there")
        }
    }

    /// All checkpoints, by step.
    package func list() -> [Checkpoint] {
        guard let names = try? FileTree.names(in: folder) else { return [] }
        return names.compactMap(checkpoint).sorted { $0.step < $1.step }
    }

    /// Removes all but the newest `keepLast` (at least 1) checkpoints; never the one that `latest` names, nor one of
    /// every `keepEvery`-th step (0: no such).
    package func prune(keepLast: Int, keepEvery: Int = 0) throws(CheckpointError) {
        let latest = latest()
        for checkpoint in list().dropLast(max(1, keepLast)) where checkpoint != latest {
            if keepEvery > 0, checkpoint.step % keepEvery == 0 { continue }
            let name = Checkpoint.name(step: checkpoint.step)
            let doomed = temporaryPath("removed-\(name)-\(getpid())")
            do {
                try term?.check()
                // Renamed first: a folder that is half gone must not have a checkpoint's name.
                try FileTree.remove(doomed)
                try FileTree.rename(checkpoint.path, to: doomed)
                try FileTree.remove(doomed)
            } catch {
                throw CheckpointError(
                    .cannotPrune, "\(checkpoint.path): the old checkpoint was not removed: \(reason(error, doomed))")
            }
        }
    }

    private func path(_ name: String) -> String { "\(folder)/\(name)" }

    private func temporaryPath(_ name: String) -> String {
        "\(term?.folder ?? folder)/\(Self.temporaryPrefix)\(name)"
    }

    private func checkpoint(_ name: String) -> Checkpoint? {
        guard let step = Checkpoint.step(ofName: name), FileTree.kind(path(name)) == .folder else { return nil }
        return Checkpoint(step: step, path: path(name))
    }

    /// Gives a written folder its name.
    private func place(_ temporary: String, as final: String) throws(FileError) {
        guard FileTree.kind(final) != .missing else { return try FileTree.rename(temporary, to: final) }
        do {
            try FileTree.exchange(temporary, final)
        } catch  where error.code == .noFunction || error.code == .invalidArgument {
            // Not every file system swaps; between these two lines the checkpoint before this one is the newest.
            let old = "\(temporary)-old"
            try FileTree.rename(final, to: old)
            try FileTree.rename(temporary, to: final)
            try FileTree.remove(old)
            return
        }
        try FileTree.remove(temporary)
    }

    private func link(to name: String) throws(FileError) {
        let temporary = temporaryPath("\(Self.linkName)-\(getpid())")
        try FileTree.remove(temporary)
        do {
            try FileTree.link(temporary, to: name)
            try FileTree.rename(temporary, to: path(Self.linkName))
        } catch {
            try? FileTree.remove(temporary)
            throw error
        }
        try FileTree.sync(folder)
    }

    /// A reason without the temporary folder's name, which will be gone when a person looks for it.
    private func reason(_ error: any Error, _ temporary: String) -> String {
        var text = "\(error)"
        for prefix in ["\(temporary)/", "\(temporary): "] {
            while let range = text.firstRange(of: prefix) { text.removeSubrange(range) }
        }
        return text
    }
}
