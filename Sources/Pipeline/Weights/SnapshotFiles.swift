import Foundation

/// Snapshot files in shared memory: `opd-RUN-VERSION`, for the eyes of this user only.
///
/// A file lives until two newer ones exist, so that a worker that was told of a version finds it; a mapping outlives
/// its file. Its owner holds a lock on it, so that files of killed processes are known by their missing lock.
struct SnapshotFiles: Sendable {
    /// What their names begin with.
    static let prefix = "opd-"

    private let directory: String
    private let prefix: String
    private var files: [(path: String, descriptor: Int32)] = []

    /// - Parameter runID: anything that is not a letter, digit, `-`, `_` or `.` is replaced in file names.
    init(directory: String, runID: String) {
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
            if isOwn, flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
            _ = close(descriptor)
        }
    }

    /// Writes `bytes` and returns the file's path. Removes files that are two versions old.
    mutating func write(_ bytes: UnsafeRawBufferPointer, version: UInt64) throws(WeightFileError) -> String {
        while files.count > 2 { remove(files.removeFirst()) }
        let path = "\(directory)/\(prefix)-\(version)"
        if let index = files.firstIndex(where: { $0.path == path }) { remove(files.remove(at: index)) }
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw WeightFileError("cannot create \(path): \(systemMessage())") }
        flock(descriptor, LOCK_EX)
        var offset = 0
        while offset < bytes.count {
            let count = Foundation.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
            if count > 0 {
                offset += count
            } else if errno != EINTR {
                let reason = systemMessage()
                remove((path, descriptor))
                throw WeightFileError("cannot write \(path): \(reason)")
            }
        }
        files.append((path, descriptor))
        return path
    }

    private func remove(_ file: (path: String, descriptor: Int32)) {
        unlink(file.path)
        _ = close(file.descriptor)
    }

    /// Removes all files.
    mutating func removeAll() {
        for file in files { remove(file) }
        files = []
    }
}
