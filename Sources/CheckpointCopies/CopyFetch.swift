import Files
import RunFiles

/// Brings the newest intact copy of a place back.
package struct CopyFetch {
    private let place: any CopyPlace
    private let refuse: (_ text: String) -> Void

    /// - Parameter refuse: told of every damaged copy on the way, in a line.
    package init(_ place: any CopyPlace, refuse: @escaping (_ text: String) -> Void) {
        self.place = place
        self.refuse = refuse
    }

    /// Gets a copy into a folder that does not exist yet; a damaged one is refused, and the one before it taken.
    /// - Returns: its step.
    /// - Throws: `PlaceError` when none is intact, or the place fails: what cannot be read now may be the newest.
    package func fetch(into folder: String) throws -> Int {
        let copies = try place.list()
        let latest = try LatestCopy.read(from: place)
        for copy in copies.inOrder(latest: latest) {
            let (step, name) = (copy.step, copy.name)
            guard let list = try place.read("\(name)/\(CopyManifest.fileName)", limit: CopyManifest.mostBytes) else {
                // It was there a moment ago, so it may be whole.
                throw PlaceError(
                    "\(place.name)/\(name)",
                    "its list '\(CopyManifest.fileName)' is gone since it was looked for; try again")
            }
            guard let manifest = CopyManifest(list) else {
                refuse(
                    "\(place.name)/\(name) is damaged and is not used: its list '\(CopyManifest.fileName)' is not whole"
                )
                continue
            }
            try FileTree.remove(folder)
            try FileTree.createFolder(folder)
            do {
                if let flaw = try missing(manifest, name) ?? get(name, manifest, into: folder) {
                    refuse("\(place.name)/\(name) is damaged and is not used: \(flaw)")
                    continue
                }
            } catch {
                try? FileTree.remove(folder)
                throw error
            }
            return step
        }
        try? FileTree.remove(folder)
        throw PlaceError(
            place.name,
            copies.inOrder(latest: nil).isEmpty
                ? "it has no whole copy of a checkpoint" : "every copy there is damaged")
    }

    private func missing(_ manifest: CopyManifest, _ name: String) throws(PlaceError) -> String? {
        guard manifest.files.contains(where: { $0.name == CheckpointManifest.fileName }) else {
            return "it is no checkpoint: there is no \(CheckpointManifest.fileName)"
        }
        let there = try place.sizes(of: name, manifest)
        for file in manifest.files {
            guard let size = there[file.name] else { return "\(file.name) is missing" }
            guard size == file.size else { return "\(file.name) has \(size) bytes, not \(file.size)" }
        }
        return nil
    }

    private func get(_ name: String, _ manifest: CopyManifest, into folder: String) throws -> String? {
        try place.get(name, manifest, into: folder)
        return FileDigest.flaw(in: folder, manifest) ?? CheckpointManifest.flaw(in: folder)
    }

    /// Brings the newest intact copy into the folder of a run that has not begun: its checkpoint and its records. The run
    /// is the one that was copied from there on.
    /// - Returns: the checkpoint.
    package func resume(into run: RunFolder) throws -> Checkpoint {
        // Until the last line the folder is none that can be gone on with by itself.
        let wasCutOff = run.cutOffFetch != nil
        try run.write("\(place.name)\n", to: run.fetching)
        let fetched = "\(run.checkpoints)/.tmp-fetched"
        let step: Int
        do { step = try fetch(into: fetched) } catch {
            // Nothing was brought, now or by an earlier attempt: the folder is as it was.
            if !wasCutOff { try? FileTree.remove(run.fetching) }
            throw error
        }
        let path = "\(run.checkpoints)/\(Checkpoint.name(step: step))"
        let records = "\(fetched)/\(CopyManifest.recordsFolder)"
        if FileTree.kind(records) == .folder {
            // Nothing there but what a copy is made with: a place that is not to be trusted names no files here.
            for name in StagedCopy.records where FileTree.kind("\(records)/\(name)") == .other {
                try FileTree.rename("\(records)/\(name)", to: "\(run.path)/\(name)")
            }
            try FileTree.remove(records)
        }
        try CopyOwner.adopt(place, for: run)
        try FileTree.sync(tree: fetched)
        try FileTree.remove(path)
        try FileTree.rename(fetched, to: path)
        try FileTree.sync(run.checkpoints)
        try FileTree.sync(run.path)
        try FileTree.remove(run.fetching)
        try FileTree.sync(run.path)
        return Checkpoint(step: step, path: path)
    }
}
