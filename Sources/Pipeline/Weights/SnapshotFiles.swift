import Dispatch
import Foundation
import Locking

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
    mutating func write(_ weights: WeightBytes, version: UInt64) throws(WeightFileError) -> String {
        while files.count > 2 { remove(files.removeFirst()) }
        let path = "\(directory)/\(prefix)-\(version)"
        if let index = files.firstIndex(where: { $0.path == path }) { remove(files.remove(at: index)) }
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw WeightFileError("cannot create \(path): \(systemMessage())") }
        flock(descriptor, LOCK_EX)
        // New pages of shared memory are cleared first, which takes most of the time: every core takes a part.
        let failed = Locked<Int32?>(nil)
        DispatchQueue.concurrentPerform(iterations: Self.parts) { part in
            let range = weights.count * part / Self.parts..<weights.count * (part + 1) / Self.parts
            let bytes = UnsafeRawBufferPointer(rebasing: weights.bytes[range])
            guard let code = Self.write(bytes, to: descriptor, at: range.lowerBound) else { return }
            failed.withLock { $0 = code }
        }
        if let code = failed.withLock({ $0 }) {
            remove((path, descriptor))
            throw WeightFileError("cannot write \(path): \(String(cString: strerror(code)))")
        }
        files.append((path, descriptor))
        return path
    }

    private static let parts = 4

    /// - Returns: nil, or errno.
    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at start: Int) -> Int32? {
        var offset = 0
        while offset < bytes.count, let base = bytes.baseAddress {
            let count = pwrite(descriptor, base + offset, bytes.count - offset, off_t(start + offset))
            if count > 0 {
                offset += count
            } else if errno != EINTR {
                return errno
            }
        }
        return nil
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
