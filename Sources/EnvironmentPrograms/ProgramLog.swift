import Files
import Glibc
import Locking

/// The log of all programs of a worker: what they write to their standard error, up to a size.
final class ProgramLog: Sendable {
    /// Bytes that one worker writes at most.
    static let most = 16 << 20

    private let path: String
    private let written = Locked(0)

    init(path: String) { self.path = path }

    /// Appends as much as there is room for. A log that cannot be written ends nothing.
    func append(_ bytes: ArraySlice<UInt8>) {
        written.withLock { written in
            let room = Self.most - written
            guard room > 0,
                let file = try? OpenFile(
                    path, .writeOnly, [.create, .append, .noFollow],
                    permissions: [.ownerReadWrite, .groupRead, .otherRead])
            else { return }
            written += bytes.count
            try? file.write(Array(bytes.prefix(room)))
            if bytes.count >= room { try? file.write("\nthe log is full: nothing more is written\n") }
        }
    }
}
