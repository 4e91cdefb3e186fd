import Files
import Foundation
import Glibc
import RunFiles

/// What is copied, held still: a folder beside the checkpoints with hard links to the files of one, and what the run has
/// recorded until now.
///
/// The links keep the bytes when the run removes its checkpoint meanwhile. It is gone when nobody refers to it, and at
/// the next start of the run at the latest, which clears such names away.
final class StagedCopy: Sendable {
    let folder: String
    let manifest: CopyManifest

    /// The records that a run on another machine goes on with.
    static let records = ["metrics.jsonl", "samples.jsonl", "suspects.jsonl", "config.yaml"]

    /// - Throws: `FileError` or `PlaceError` when the checkpoint is damaged, or was removed meanwhile.
    init(_ checkpoint: Checkpoint, of run: RunFolder) throws {
        let folder = "\(run.checkpoints)/.tmp-copy-\(Checkpoint.name(step: checkpoint.step))"
        self.folder = folder
        do {
            try FileTree.remove(folder)
            try FileTree.createFolder(folder)
            let names = CheckpointManifest.fileNames(in: checkpoint.path)
            for name in names + [CheckpointManifest.fileName] {
                guard PlaceAddress.isPlain(name[...]) else {
                    throw PlaceError(checkpoint.path, "the file name '\(name)' has more than letters, digits and ._-")
                }
                try Self.link("\(checkpoint.path)/\(name)", at: "\(folder)/\(name)")
            }
            if let flaw = CheckpointManifest.flaw(in: folder) {
                throw PlaceError(checkpoint.path, "it is damaged and is not copied: \(flaw)")
            }
            var files = names + [CheckpointManifest.fileName]
            for name in Self.records where FileTree.kind("\(run.path)/\(name)") == .other {
                let record = "\(CopyManifest.recordsFolder)/\(name)"
                try Self.copy("\(run.path)/\(name)", to: "\(folder)/\(record)")
                files.append(record)
            }
            var listed: [CopiedFile] = []
            for name in files.sorted() { listed.append(try FileDigest.of("\(folder)/\(name)", name: name)) }
            manifest = CopyManifest(files: listed)
        } catch {
            try? FileTree.remove(folder)
            throw error
        }
    }

    deinit { try? FileTree.remove(folder) }

    private static func link(_ source: String, at target: String) throws {
        try FileTree.createFolder(FileTree.parent(of: target))
        guard FileTree.kind(source) == .other else { throw FileError(source, code: ENOENT) }
        if Glibc.link(source, target) == 0 { return }
        // Not every file system has hard links.
        guard errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK || errno == ENOSYS else {
            throw FileError(source, code: errno)
        }
        try copy(source, to: target)
    }

    /// Copies what the file has now; it may grow meanwhile, and who goes on with it cuts off a line that is not whole.
    private static func copy(_ source: String, to target: String) throws {
        try FileTree.createFolder(FileTree.parent(of: target))
        let from = try OpenFile.reading(source, followsLinks: false)
        let to = try OpenFile(target, .writeOnly, [.create, .truncate, .noFollow], permissions: .ownerReadWrite)
        var left = try from.size()
        while left > 0 {
            let bytes = try from.read(count: min(left, FileDigest.piece))
            if bytes.isEmpty { break }
            try to.write(bytes)
            left -= bytes.count
        }
    }
}
