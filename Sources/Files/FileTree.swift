import CPlatform
import Glibc

/// A file operation failed: which path, and the system's reason.
package struct FileTreeError: Error, CustomStringConvertible {
    package let path: String
    package let code: Int32
    package var description: String { "\(path): \(String(cString: strerror(code)))" }

    package init(_ path: String, _ code: Int32) {
        self.path = path
        self.code = code
    }
}

/// Folders as wholes: made, put on disk, listed, removed. Symbolic links are never followed.
package enum FileTree {
    package enum Kind { case missing, folder, link, other }

    /// What is at `path` itself.
    package static func kind(_ path: String) -> Kind {
        var status = stat()
        guard lstat(path, &status) == 0 else { return .missing }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .folder
        case S_IFLNK: return .link
        default: return .other
        }
    }

    /// Whether `path` is a folder or a link to one.
    package static func leadsToFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Bytes of a file.
    package static func size(_ path: String) throws(FileTreeError) -> UInt64 {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw FileTreeError(path, errno) }
        return UInt64(max(0, status.st_size))
    }

    /// Names in a folder, sorted, without `.` and `..`.
    package static func names(in folder: String) throws(FileTreeError) -> [String] {
        guard let directory = opendir(folder) else { throw FileTreeError(folder, errno) }
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

    /// Makes a folder and those above it; one that exists is left as it is. True when the last one is new.
    @discardableResult
    package static func createFolder(_ path: String) throws(FileTreeError) -> Bool {
        if mkdir(path, 0o777) == 0 { return true }
        let code = errno
        if code == EEXIST, leadsToFolder(path) { return false }
        let above = parent(of: path)
        guard code == ENOENT, above != path else { throw FileTreeError(path, code) }
        try createFolder(above)
        if mkdir(path, 0o777) == 0 { return true }
        if errno == EEXIST, leadsToFolder(path) { return false }
        throw FileTreeError(path, errno)
    }

    /// The folder that holds `path`; `.` for a bare name.
    package static func parent(of path: String) -> String {
        var bytes = Array(path.utf8)
        let slash = UInt8(ascii: "/")
        while bytes.count > 1, bytes.last == slash { bytes.removeLast() }
        guard let last = bytes.lastIndex(of: slash) else { return "." }
        return last == 0 ? "/" : String(decoding: bytes[..<last], as: UTF8.self)
    }

    /// Puts a folder's files, the folders in it and itself on disk.
    package static func sync(tree folder: String) throws(FileTreeError) {
        for name in try names(in: folder) {
            let path = "\(folder)/\(name)"
            switch kind(path) {
            case .folder: try sync(tree: path)
            case .other: try sync(path)
            case .link, .missing: break
            }
        }
        try sync(folder)
    }

    /// Puts one file's bytes, or one folder's list of names, on disk.
    package static func sync(_ path: String) throws(FileTreeError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileTreeError(path, errno) }
        defer { close(descriptor) }
        // EINVAL: a kind of file or file system that has nothing to put on disk.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileTreeError(path, errno) }
    }

    /// Removes a file, a link, or a folder with all that is in it. What is not there is no error.
    package static func remove(_ path: String) throws(FileTreeError) {
        switch kind(path) {
        case .missing: return
        case .folder:
            for name in try names(in: path) { try remove("\(path)/\(name)") }
            guard rmdir(path) == 0 || errno == ENOENT else { throw FileTreeError(path, errno) }
        case .link, .other:
            guard unlink(path) == 0 || errno == ENOENT else { throw FileTreeError(path, errno) }
        }
    }

    package static func rename(_ old: String, to new: String) throws(FileTreeError) {
        guard Glibc.rename(old, new) == 0 else { throw FileTreeError(new, errno) }
    }

    /// Swaps two paths in one step. Throws ENOSYS or EINVAL where the file system cannot.
    package static func exchange(_ first: String, _ second: String) throws(FileTreeError) {
        let code = cplatform_exchange_paths(first, second)
        guard code == 0 else { throw FileTreeError(second, code) }
    }

    /// What a link says, nil when it is none.
    package static func target(ofLink path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// Writes a file that appears under its name whole, on disk, or not at all.
    package static func write(_ text: String, to path: String) throws(FileTreeError) {
        let temporary = "\(path).tmp\(getpid())"
        // What a killed process of this number has left, or a link that somebody has put there.
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else { throw FileTreeError(path, errno) }
        let bytes = Array(text.utf8)
        var done = 0
        var code: Int32 = 0
        while done < bytes.count, code == 0 {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, $0.count - done) }
            if count >= 0 { done += count } else if errno != EINTR { code = errno }
        }
        if code == 0, fsync(descriptor) != 0, errno != EINVAL { code = errno }
        close(descriptor)
        if code == 0, Glibc.rename(temporary, path) != 0 { code = errno }
        guard code == 0 else {
            unlink(temporary)
            throw FileTreeError(path, code)
        }
        try sync(parent(of: path))
    }

    /// The text of a small file, nil when it cannot be read.
    package static func read(_ path: String, limit: Int = 1 << 16) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }
}
