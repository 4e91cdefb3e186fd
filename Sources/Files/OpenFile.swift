import Glibc
import SystemPackage

/// An open file, closed when the value ends, and not passed on to other programs.
///
/// Here, and nowhere else, is what goes on after a signal, a short read and a short write. One thread at a time.
package struct OpenFile: ~Copyable, Sendable {
    package let path: String
    package let descriptor: FileDescriptor

    /// - Parameters:
    ///   - options: beside close-on-exec, which is always set.
    ///   - permissions: of a file that this makes, before the process's mask.
    ///   - attempt: what an error says was tried.
    package init(
        _ path: String, _ mode: FileDescriptor.AccessMode, _ options: FileDescriptor.OpenOptions = [],
        permissions: FilePermissions? = nil, attempt: FileError.Attempt = .use
    ) throws(FileError) {
        self.path = path
        descriptor = try Self.result(path, attempt) {
            try FileDescriptor.open(
                FilePath(path), mode, options: options.union(.closeOnExec), permissions: permissions)
        }
    }

    /// Opens for reading what is a file; a pipe in its place is refused, not waited for.
    package static func reading(_ path: String, followsLinks: Bool = true) throws(FileError) -> OpenFile {
        let file = try OpenFile(path, .readOnly, followsLinks ? .nonBlocking : [.nonBlocking, .noFollow])
        guard try file.status().st_mode & S_IFMT == S_IFREG else { throw FileError(path, .use, .notFile) }
        return file
    }

    deinit { try? descriptor.close() }

    /// What the system knows of what was opened, not of what has its name a moment later.
    package func status() throws(FileError) -> stat {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw FileError(path, code: errno) }
        return status
    }

    /// Bytes of the file.
    package func size() throws(FileError) -> Int { max(0, Int(try status().st_size)) }

    // MARK: Reading

    /// Fills the buffer from where the file stands; less is there only at its end.
    /// - Returns: bytes that were read.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = try Self.result(path, .read) { try descriptor.read(into: rest) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Has the file stand at a byte, from which it is read or written next.
    package func seek(to offset: UInt64) throws(FileError) {
        try Self.result(path, .use) { _ = try descriptor.seek(offset: Int64(clamping: offset), from: .start) }
    }

    /// Reads at most `count` bytes from where the file stands.
    package func read(count: Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let done = try fill(&bytes, from: 0)
        bytes.removeLast(count - done)
        return bytes
    }

    /// Everything from where the file stands to its end. Throws when that is more than `limit` bytes.
    package func readAll(limit: Int = .max - 1) throws(FileError) -> [UInt8] {
        // One byte more tells an end from a limit. What says that it has no bytes, as files of /proc do, may have some.
        var bytes = [UInt8](repeating: 0, count: min(max(try size(), 4095), limit) + 1)
        var count = 0
        while true {
            count = try fill(&bytes, from: count)
            guard count == bytes.count else { return Array(bytes[..<count]) }
            guard count <= limit else { throw FileError(path, .read, .tooLong(limit: limit)) }
            bytes += [UInt8](repeating: 0, count: min(count, limit + 1 - count))
        }
    }

    private func fill(_ bytes: inout [UInt8], from start: Int) throws(FileError) -> Int {
        let count = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(FileError) in try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...])) }
        }
        return start + (try count.get())
    }

    // MARK: Writing

    /// Writes all bytes where the file stands.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = try Self.result(path, .write) { try descriptor.write(rest) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    package func write(_ bytes: [UInt8]) throws(FileError) {
        let result = bytes.withUnsafeBytes { buffer in Result { () throws(FileError) in try write(buffer) } }
        try result.get()
    }

    package func write(_ text: String) throws(FileError) { try write(Array(text.utf8)) }

    /// Cuts the file to so many bytes and goes to its end.
    package func cut(to count: Int) throws(FileError) {
        try Self.result(path, .cut) {
            try descriptor.resize(to: Int64(count))
            try descriptor.seek(offset: Int64(count), from: .start)
        }
    }

    /// Where the file stands; nil for what has no places, such as a pipe.
    package var position: Int? { (try? descriptor.seek(offset: 0, from: .current)).map { Int($0) } }

    /// Puts the file on disk, or a folder's list of names.
    package func sync() throws(FileError) {
        while fsync(descriptor.rawValue) != 0 {
            // A kind of file or file system that has nothing to put on disk.
            if errno == EINVAL { return }
            guard errno == EINTR else { throw FileError(path, .write, code: errno) }
        }
    }

    /// Gives the file exactly these permissions, whatever the process's mask.
    package func setPermissions(_ permissions: FilePermissions) throws(FileError) {
        guard fchmod(descriptor.rawValue, permissions.rawValue) == 0 else { throw FileError(path, code: errno) }
    }

    private static func result<Result>(
        _ path: String, _ attempt: FileError.Attempt, _ body: () throws -> Result
    ) throws(FileError) -> Result {
        do {
            return try body()
        } catch {
            // swift-system throws nothing else.
            throw FileError(path, attempt, error as? Errno ?? .ioError)
        }
    }
}

/// Writes all bytes to a descriptor that somebody else owns, such as standard error.
/// - Returns: whether all were written.
@discardableResult
package func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    (try? FileDescriptor(rawValue: descriptor).writeAll(bytes)) != nil
}
