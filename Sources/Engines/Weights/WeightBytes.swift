import Files
import Foundation
import Wire

/// The bytes of one weight snapshot: immutable, 64-byte aligned, shared between threads, never copied.
///
/// `@unchecked Sendable`: nobody writes the memory any more, see ``WeightMemory``; a file's is mapped to be read only.
package final class WeightBytes: ByteStorage, @unchecked Sendable {
    package let bytes: UnsafeRawBufferPointer
    private enum Backing {
        case memory(WeightMemory)
        case mapped(UnsafeMutableRawPointer, Int, lock: Int32)
    }
    private let backing: Backing

    /// What was written into `memory`, which it keeps alive.
    package init(_ memory: WeightMemory) {
        bytes = UnsafeRawBufferPointer(memory.bytes)
        backing = .memory(memory)
    }

    /// Fresh memory of `count` bytes that `initialize` fills.
    package convenience init(count: Int, initialize: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let memory = WeightMemory(byteCount: count)
        try memory.withBytes(initialize)
        self.init(memory)
    }

    /// A read-only mapping of the file at `path`, which must be a snapshot in `directory`, hold exactly `count` bytes,
    /// be a regular file, and belong to this user with nobody else allowed to write to it: it could be truncated under
    /// us.
    package init(mapping path: String, in directory: String, count: Int) throws(WeightFileError) {
        // The path is the learner's word. It names a snapshot, and nothing else is opened for it.
        let prefix = "\(directory)/\(SnapshotFiles.prefix)"
        guard path.hasPrefix(prefix), !path.dropFirst(prefix.count).contains("/") else {
            throw WeightFileError("\(path) is not a snapshot in \(directory)")
        }
        // Not blocking: a pipe of this name would be waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw WeightFileError("cannot open \(path): \(systemMessage())") }
        var isMapped = false
        defer { if !isMapped { _ = close(descriptor) } }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw WeightFileError("cannot read \(path): \(systemMessage())") }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else {
            throw WeightFileError("\(path) is not a regular file of this user")
        }
        guard status.st_mode & 0o022 == 0 else { throw WeightFileError("\(path) may be written by others") }
        guard Int(status.st_size) == count, count > 0 else {
            throw WeightFileError("\(path) has \(status.st_size) bytes, but \(count) were announced")
        }
        // While this lock is held the learner does not write another version into the file.
        guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else {
            throw WeightFileError("\(path) is being written anew")
        }
        let memory = mmap(nil, count, PROT_READ, MAP_SHARED | Int32(MAP_POPULATE), descriptor, 0)
        guard let memory, memory != MAP_FAILED else {
            throw WeightFileError("cannot map \(path): \(systemMessage())")
        }
        isMapped = true
        bytes = UnsafeRawBufferPointer(start: memory, count: count)
        backing = .mapped(memory, count, lock: descriptor)
    }

    deinit {
        switch backing {
        case .memory: break
        case .mapped(let memory, let count, let lock):
            munmap(memory, count)
            _ = close(lock)
        }
    }

    package var count: Int { bytes.count }

    /// Where another process of this user finds the file that is mapped, for as long as this lives; nil where the memory
    /// is this process's alone.
    package var path: String? {
        if case .mapped(_, _, let lock) = backing { "/proc/\(getpid())/fd/\(lock)" } else { nil }
    }

    /// CRC-32 (zlib's) of all bytes.
    package var checksum: UInt32 { SnapshotChecksums(self, chunkByteCount: 4 << 20).whole }
}

/// Why a snapshot file could not be written or read.
package struct WeightFileError: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}
