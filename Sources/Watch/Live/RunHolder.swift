import Files
import Glibc
import RunFiles

/// Whether a run goes on in a folder, told without touching it: its learner has a lock on the folder, and whoever tried
/// for the lock to find out could take it from a learner that begins.
enum RunHolder {
    /// Whether a process of this machine has claimed the run's folder or its logs.
    static func isHeld(_ run: RunFolder) -> Bool {
        // Device numbers are another file system's where folders are layered: inodes have to do.
        let inodes = [run.path, run.logs].compactMap(inode)
        guard !inodes.isEmpty, let locks = try? FileTree.read("/proc/locks", limit: 4 << 20) else { return false }
        return locks.split(separator: "\n").contains { line in
            // `1: FLOCK  ADVISORY  WRITE 4711 08:01:131077 0 EOF`
            let fields = line.split(separator: " ")
            guard fields.count >= 6, fields[1] == "FLOCK", let place = fields[5].split(separator: ":").last else {
                return false
            }
            return inodes.contains { place.elementsEqual(String($0)) }
        }
    }

    private static func inode(_ path: String) -> UInt64? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }
}
