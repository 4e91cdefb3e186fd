import Files
import Foundation
import Locking

/// A folder of this process in shared memory, from which a server on the same machine reads weights; removed at the end,
/// unless a server may be reading it: one whose files vanish meanwhile may die of that.
///
/// `opd-server-PID-…`, so that folders of processes that were killed are known and removed by a later one.
package final class SharedFolder: Sendable {
    package let path: String
    private let directory: String
    private static let prefix = "opd-server-"
    /// Folders of this process, and how often each is being read: at its end nobody lets go of what is still in use.
    private static let living = Locked<[String: Int]>([:])
    private static let removesAtExit: Bool =
        atexit {
            for (path, readers) in SharedFolder.living.withLock({ $0 }) where readers == 0 {
                try? FileTree.remove(path)
            }
        } == 0

    /// - Throws: `FileError` when the folder cannot be made.
    package init(in directory: String = SharedFolder.directory) throws {
        self.directory = directory
        let random = String(UInt64.random(in: 0 ... .max), radix: 16)
        path = "\(directory)/\(Self.prefix)\(ProcessInfo.processInfo.processIdentifier)-\(random)"
        try FileTree.createFolder(path)
        chmod(path, 0o700)
        _ = Self.removesAtExit
        let path = path
        Self.living.withLock { $0[path] = 0 }
    }

    deinit {
        try? FileTree.remove(path)
        let path = path
        Self.living.withLock { $0[path] = nil }
    }

    /// Has a server read what is in the folder; should this process end meanwhile, the folder stays for the next to
    /// remove.
    func whileRead<Result>(
        isolation: isolated (any Actor)? = #isolation, _ work: () async throws -> Result
    ) async rethrows -> Result {
        let path = path
        Self.living.withLock { $0[path, default: 0] += 1 }
        defer { Self.living.withLock { $0[path, default: 1] -= 1 } }
        return try await work()
    }

    /// Shared memory where the system has it.
    package static var directory: String {
        FileTree.kind("/dev/shm") == .missing ? NSTemporaryDirectory() : "/dev/shm"
    }

    /// Removes folders of processes that are no more. The server that read them must have read another since: it takes
    /// one after the other, and may have been told to read them by a process that was killed a moment ago.
    package func removeAbandoned() {
        let prefix = Self.prefix
        for name in (try? FileTree.names(in: directory)) ?? [] where name.hasPrefix(prefix) {
            let path = "\(directory)/\(name)"
            guard let process = name.dropFirst(prefix.count).split(separator: "-").first.flatMap({ Int32($0) }) else {
                continue
            }
            var status = stat()
            let isOwn = lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && status.st_uid == geteuid()
            if isOwn, kill(process, 0) != 0, errno == ESRCH { try? FileTree.remove(path) }
        }
    }
}
