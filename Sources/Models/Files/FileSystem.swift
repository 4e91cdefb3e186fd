import Tokenizers

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The few file operations that model files need, with errors that name the file.
enum FileSystem {
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    static func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Names in a folder, sorted.
    static func names(in folder: String) throws -> [String] {
        guard let directory = opendir(folder) else {
            throw ModelError(.unreadable, "\(folder): \(reason(errno))")
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// All bytes of a file of at most `limit` bytes. The largest such files, tokenizers, have some 35 MB.
    static func read(_ path: String, limit: Int = 1 << 28) throws -> [UInt8] {
        let file = try MappedFile(path)
        guard file.bytes.count <= limit else {
            throw ModelError(
                .malformed, "\(path): \(file.bytes.count) bytes, more than such a file can have (\(limit))")
        }
        return Array(file.bytes)
    }

    /// The JSON document in a file of at most 16 MiB; the largest, indices of shards, have some 5 MB.
    static func json(_ path: String) throws -> JSONValue {
        do {
            return try JSONValue.parse(try read(path, limit: 1 << 24))
        } catch let error as JSONError {
            throw ModelError(.malformed, "\(path): \(error)")
        }
    }

    static func createFolder(_ path: String) throws {
        if isDirectory(path) { return }
        if mkdir(path, 0o777) == 0 { return }
        let code = errno
        let parent = path.parentPath
        if code == ENOENT, !parent.isEmpty, parent != path {
            try createFolder(parent)
            if mkdir(path, 0o777) == 0 || isDirectory(path) { return }
        }
        throw ModelError(.unwritable, "\(path): the folder cannot be created: \(reason(code))")
    }

    static func remove(_ path: String) { unlink(path) }

    /// Whether both paths lead to one file or folder.
    static func isSame(_ a: String, _ b: String) -> Bool {
        var first = stat()
        var second = stat()
        guard stat(a, &first) == 0, stat(b, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// Writes a file whole or not at all: under a temporary name, flushed, then renamed.
    static func write(_ text: String, to path: String) throws {
        var file = try AtomicFile(path)
        var text = text
        try text.withUTF8 { try file.append(UnsafeRawBufferPointer($0)) }
        try file.commit()
    }

    static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

extension String {
    /// The path of `name` in the folder with this path.
    func appendingPath(_ name: String) -> String { hasSuffix("/") ? self + name : self + "/" + name }

    /// The folder that holds this path; empty for a bare name.
    var parentPath: String {
        let trimmed = self.count > 1 && hasSuffix("/") ? String(dropLast()) : self
        guard let slash = trimmed.lastIndex(of: "/") else { return "" }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    var lastPathName: String { split(separator: "/").last.map(String.init) ?? self }
}

/// A file mapped read-only into memory.
package final class MappedFile: Sendable {
    let path: String
    // Written by nobody after init, unmapped when the last reference goes: safe to share although it holds a pointer.
    package nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    package init(_ path: String) throws {
        self.path = path
        // A pipe in a file's place is refused below instead of waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw ModelError(.unreadable, "\(path): \(FileSystem.reason(errno))") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw ModelError(.unreadable, "\(path): not a file")
        }
        let size = Int(status.st_size)
        if size == 0 {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw ModelError(.unreadable, "\(path): cannot be mapped: \(FileSystem.reason(errno))")
        }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    /// Calls `body` with some of the bytes, and gives their memory back afterwards: a model is read once, and what was
    /// read would count as this process's as long as the file is mapped.
    func withBytes<R>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        defer {
            let page = Int(getpagesize())
            let first = (range.lowerBound + page - 1) / page * page, last = range.upperBound / page * page
            if first < last, let base = bytes.baseAddress {
                // Clean pages of a file: reading them again brings them back. A hint, whose failure does no harm.
                madvise(UnsafeMutableRawPointer(mutating: base + first), last - first, Int32(MADV_DONTNEED))
            }
        }
        return try body(UnsafeRawBufferPointer(rebasing: bytes[range]))
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }
}

/// A file that appears under its name only when it is complete and on disk.
struct AtomicFile: ~Copyable {
    let path: String
    private let temporary: String
    private var descriptor: Int32
    private(set) var count = 0

    init(_ path: String) throws {
        self.path = path
        temporary = path + ".tmp\(getpid())"
        // What a killed process of this number has left, or a link that somebody has put there.
        unlink(temporary)
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else {
            throw ModelError(.unwritable, "\(path): cannot be written: \(FileSystem.reason(errno))")
        }
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while let base = UnsafeRawBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
            let written = write(descriptor, base, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw ModelError(.unwritable, "\(path): cannot be written: \(FileSystem.reason(errno))")
            }
            rest = rest.dropFirst(written)
        }
        count += bytes.count
    }

    mutating func commit() throws {
        guard fsync(descriptor) == 0 else {
            throw ModelError(.unwritable, "\(path): cannot be written: \(FileSystem.reason(errno))")
        }
        close(descriptor)
        descriptor = -1
        guard rename(temporary, path) == 0 else {
            throw ModelError(.unwritable, "\(path): cannot be put in place: \(FileSystem.reason(errno))")
        }
    }

    deinit {
        if descriptor >= 0 {
            close(descriptor)
            unlink(temporary)
        }
    }
}
