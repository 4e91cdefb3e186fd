import Foundation
import Wire

/// Snapshot files in shared memory: `opd-RUN-VERSION`, for the eyes of this user only.
///
/// A file holds its version until two newer ones exist, so that a worker that was told of it finds it. Then the next
/// version is written over it, because the kernel takes several times as long to find memory as it takes to fill it;
/// or it is removed, where somebody still reads it: workers hold a shared lock (`flock`) on what they have mapped. Its
/// owner holds a lock of another kind, so that files of killed processes are known by their missing lock.
package struct SnapshotFiles: Sendable {
    /// What their names begin with.
    package static let prefix = "opd-"
    /// Files beside the one that is written.
    private static let kept = 2

    private let directory: String
    private let prefix: String
    /// The oldest first.
    private var files: [SnapshotFile] = []

    /// - Parameter runID: anything that is not a letter, digit, `-`, `_` or `.` is replaced in file names.
    package init(directory: String, runID: String) {
        self.directory = directory
        // The process id keeps two runs of one name apart.
        let safe = runID.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) ? $0 : "-" }
        prefix = Self.prefix + "\(String(safe))-\(ProcessInfo.processInfo.processIdentifier)"
        Self.removeAbandoned(in: directory)
    }

    /// Removes snapshots of this user whose owner died without doing so.
    private static func removeAbandoned(in directory: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        where name.hasPrefix(prefix) {
            let path = "\(directory)/\(name)"
            // Anybody may put anything there: a pipe would be waited for.
            let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
            guard descriptor >= 0 else { continue }
            var status = stat()
            let isOwn =
                fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_uid == geteuid()
            if isOwn, !SnapshotFile.isOwned(descriptor) { unlink(path) }
            _ = close(descriptor)
        }
    }

    /// Finds a file for a version, which nobody else reads before it is shared.
    package mutating func place(
        _ manifest: WeightManifest, version: UInt64
    ) throws(WeightFileError) -> WeightPlace {
        let path = "\(directory)/\(prefix)-\(version)", byteCount = manifest.byteCount
        remove { $0.path == path }
        let file: SnapshotFile
        if let free = reused(as: path, byteCount: byteCount) {
            file = free
        } else {
            file = try SnapshotFile(creating: path, byteCount: byteCount)
        }
        files.append(file)
        return WeightPlace(manifest, version: version, path: path, memory: file.memory)
    }

    /// Lets others read what was written to the file at `path`, if it is still there.
    package func share(_ path: String) { files.first { $0.path == path }?.share() }

    /// The file that is not kept any longer, where it can be had.
    private mutating func reused(as path: String, byteCount: Int) -> SnapshotFile? {
        guard files.count > Self.kept else { return nil }
        var oldest = files.removeFirst()
        if oldest.reuse(as: path, byteCount: byteCount) { return oldest }
        oldest.remove()
        return nil
    }

    private mutating func remove(where isUnwanted: (SnapshotFile) -> Bool) {
        for file in files where isUnwanted(file) { file.remove() }
        files.removeAll(where: isUnwanted)
    }

    /// Removes all files.
    package mutating func removeAll() { remove { _ in true } }
}
