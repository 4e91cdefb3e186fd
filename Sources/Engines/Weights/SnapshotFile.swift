import CPlatform
import Files
import Foundation

/// A file of the learner's own in shared memory, mapped to be written, and locked while it is.
package struct SnapshotFile: Sendable {
    private(set) var path: String
    private let descriptor: Int32
    private var mapping: WeightMemory

    /// A new file of `byteCount` bytes, whose memory is found now: a write to memory that cannot be had would kill the
    /// process.
    package init(creating path: String, byteCount: Int) throws(WeightFileError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw WeightFileError("cannot create \(path): \(systemMessage())") }
        _ = cplatform_own_file(descriptor)
        flock(descriptor, LOCK_EX)
        do throws(WeightFileError) {
            let code = posix_fallocate(descriptor, 0, off_t(byteCount))
            guard code == 0 else { throw WeightFileError("cannot write \(path): \(String(cString: strerror(code)))") }
            guard let mapping = WeightMemory(mapping: descriptor, byteCount: byteCount) else {
                throw WeightFileError("cannot map \(path): \(systemMessage())")
            }
            self.mapping = mapping
        } catch {
            unlink(path)
            _ = close(descriptor)
            throw error
        }
    }

    /// Takes the memory for another version, locked exclusively.
    /// - Returns: false when it has another size or somebody still reads it, in this process or another.
    package mutating func reuse(as newPath: String, byteCount: Int) -> Bool {
        guard mapping.bytes.count == byteCount, isKnownUniquelyReferenced(&mapping),
            flock(descriptor, LOCK_EX | LOCK_NB) == 0, rename(path, newPath) == 0
        else { return false }
        path = newPath
        return true
    }

    /// Memory to write before it is shared. The file is not used again while anybody else has this.
    package var memory: WeightMemory { mapping }

    /// Lets others read it.
    package func share() { flock(descriptor, LOCK_UN) }

    /// Whether the process that made the file still has it.
    package static func isOwned(_ descriptor: Int32) -> Bool { cplatform_file_is_owned(descriptor) != 0 }

    package func remove() {
        unlink(path)
        _ = close(descriptor)
    }
}
