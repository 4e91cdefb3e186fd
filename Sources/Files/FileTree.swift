import CPlatform
import Glibc
import SystemPackage

/// Folders as wholes: made, put on disk, listed, removed. Symbolic links are never followed.
package enum FileTree {
    /// What a path leads to.
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

    /// What is at `path` itself, where it can be told: what cannot be looked at may be there.
    package static func knownKind(_ path: String) throws(FileError) -> Kind {
        var status = stat()
        if lstat(path, &status) != 0, errno != ENOENT, errno != ENOTDIR { throw FileError(path, code: errno) }
        return kind(path)
    }

    /// The path without links, `.` and `..`; what is not there yet counts from the last folder that is.
    package static func realPath(_ path: String) -> String {
        if let real = realpath(path, nil) {
            defer { free(real) }
            return String(cString: real)
        }
        let above = parent(of: path), name = path.split(separator: "/").last ?? ""
        return above == path ? path : realPath(above).appendingPath(String(name))
    }

    /// Whether `path` is a folder or a link to one.
    package static func leadsToFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Bytes of a file.
    package static func size(_ path: String) throws(FileError) -> UInt64 {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw FileError(path, code: errno) }
        return UInt64(max(0, status.st_size))
    }

    /// Names in a folder, sorted, without `.` and `..`.
    package static func names(in folder: String) throws(FileError) -> [String] {
        guard let directory = opendir(folder) else { throw FileError(folder, code: errno) }
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
    package static func createFolder(_ path: String) throws(FileError) -> Bool {
        if mkdir(path, 0o777) == 0 { return true }
        let code = errno
        if code == EEXIST, leadsToFolder(path) { return false }
        let above = parent(of: path)
        guard code == ENOENT, above != path else { throw FileError(path, code: code) }
        try createFolder(above)
        if mkdir(path, 0o777) == 0 { return true }
        if errno == EEXIST, leadsToFolder(path) { return false }
        throw FileError(path, code: errno)
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
    package static func sync(tree folder: String) throws(FileError) {
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
    package static func sync(_ path: String) throws(FileError) {
        try OpenFile(path, .readOnly, [.noFollow, .nonBlocking]).sync()
    }

    /// Removes a file, a link, or a folder with all that is in it. What is not there is no error.
    package static func remove(_ path: String) throws(FileError) {
        switch kind(path) {
        case .missing: return
        case .folder:
            for name in try names(in: path) { try remove("\(path)/\(name)") }
            guard rmdir(path) == 0 || errno == ENOENT else { throw FileError(path, code: errno) }
        case .link, .other:
            guard unlink(path) == 0 || errno == ENOENT else { throw FileError(path, code: errno) }
        }
    }

    package static func rename(_ old: String, to new: String) throws(FileError) {
        guard Glibc.rename(old, new) == 0 else { throw FileError(new, code: errno) }
    }

    /// Swaps two paths in one step. Throws ENOSYS or EINVAL where the file system cannot.
    package static func exchange(_ first: String, _ second: String) throws(FileError) {
        let code = cplatform_exchange_paths(first, second)
        guard code == 0 else { throw FileError(second, code: code) }
    }

    /// What a link says, nil when it is none.
    package static func target(ofLink path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// Whether both paths lead to one file or folder.
    package static func isSame(_ a: String, _ b: String) -> Bool {
        var first = stat()
        var second = stat()
        guard stat(a, &first) == 0, stat(b, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// Makes `path` a link that says `target`.
    package static func link(_ path: String, to target: String) throws(FileError) {
        guard symlink(target, path) == 0 else { throw FileError(path, code: errno) }
    }
}

/// Small files as texts. Bytes that are not UTF-8 become U+FFFD.
extension FileTree {
    /// Writes a file that appears under its name whole, on disk, or not at all.
    package static func write(_ text: String, to path: String) throws(FileError) {
        try AtomicFile.write(text, to: path)
        try sync(parent(of: path))
    }

    /// Makes a new file with exactly these permissions, on disk when this returns. Throws when there is one.
    package static func create(_ text: String, at path: String, permissions: FilePermissions) throws(FileError) {
        let file = try OpenFile(
            path, .writeOnly, [.create, .exclusiveCreate, .noFollow], permissions: permissions)
        do {
            try file.setPermissions(permissions)
            try file.write(text)
            try file.sync()
        } catch {
            unlink(path)
            throw error
        }
    }

    /// The text of a small file. Throws when it has more than `limit` bytes, or cannot be read.
    package static func read(_ path: String, limit: Int = 1 << 16) throws(FileError) -> String {
        String(decoding: try OpenFile.reading(path).readAll(limit: limit), as: UTF8.self)
    }

    /// The last `count` bytes of a file, and whether they are all of it.
    package static func end(of path: String, count: Int) throws(FileError) -> (bytes: [UInt8], isWhole: Bool) {
        let file = try OpenFile.reading(path)
        let start = max(0, try file.size() - count)
        do { try file.descriptor.seek(offset: Int64(start), from: .start) } catch {
            throw FileError(path, .read, error as? Errno ?? .ioError)
        }
        return (try file.read(count: count), start == 0)
    }

    /// Whether there is a file with at least one byte.
    package static func hasContent(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size > 0
    }
}
