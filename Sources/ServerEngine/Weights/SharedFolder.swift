import Files
import Foundation
import Locking

/// A folder of this process in shared memory, from which a server on the same machine reads weights; removed at the end.
///
/// `opd-server-PID-…`, so that folders of processes that were killed are known and removed by the next.
package final class SharedFolder: Sendable {
    package let path: String
    private static let prefix = "opd-server-"
    /// Folders of this process: at its end nobody lets go of what is still in use.
    private static let living = Locked<Set<String>>([])
    private static let removesAtExit: Bool =
        atexit { for path in SharedFolder.living.withLock({ $0 }) { try? FileTree.remove(path) } } == 0

    /// - Throws: `FileError` when the folder cannot be made.
    package init(in directory: String = SharedFolder.directory) throws {
        Self.removeAbandoned(in: directory)
        let random = String(UInt64.random(in: 0 ... .max), radix: 16)
        path = "\(directory)/\(Self.prefix)\(ProcessInfo.processInfo.processIdentifier)-\(random)"
        try FileTree.createFolder(path)
        chmod(path, 0o700)
        _ = Self.removesAtExit
        _ = Self.living.withLock { $0.insert(path) }
    }

    deinit {
        try? FileTree.remove(path)
        _ = Self.living.withLock { $0.remove(path) }
    }

    /// Shared memory where the system has it.
    package static var directory: String {
        FileTree.kind("/dev/shm") == .missing ? NSTemporaryDirectory() : "/dev/shm"
    }

    private static func removeAbandoned(in directory: String) {
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
