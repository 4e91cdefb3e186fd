import Glibc
import SystemPackage

/// A file that appears under its name only when it is complete and on disk.
package struct AtomicFile: ~Copyable {
    package let path: String
    private let temporary: String
    private let file: OpenFile
    private var isPlaced = false

    /// Starts the file under a temporary name beside `path`.
    package init(_ path: String) throws(FileError) {
        self.path = path
        temporary = "\(path).tmp\(getpid())"
        // What a killed process of this number has left, or a link that somebody has put there.
        unlink(temporary)
        do {
            file = try OpenFile(
                temporary, .writeOnly, [.create, .exclusiveCreate, .noFollow],
                permissions: FilePermissions(rawValue: 0o666))
        } catch {
            throw FileError(path, .write, error.reason)
        }
    }

    package func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        do { try file.write(bytes) } catch { throw FileError(path, error.attempt, error.reason) }
    }

    package func append(_ bytes: [UInt8]) throws(FileError) {
        let result = bytes.withUnsafeBytes { buffer in Result { () throws(FileError) in try append(buffer) } }
        try result.get()
    }

    /// Puts the bytes on disk and gives the file its name. That the name is on disk too is up to the caller, who may
    /// have more files in the folder.
    package mutating func commit() throws(FileError) {
        do { try file.sync() } catch { throw FileError(path, error.attempt, error.reason) }
        guard rename(temporary, path) == 0 else { throw FileError(path, .place, code: errno) }
        isPlaced = true
    }

    deinit { if !isPlaced { unlink(temporary) } }

    /// Removes what processes that were killed have left of files that were to get this name.
    ///
    /// For those who alone write it: another's that is under way fails.
    package static func removeUnfinished(_ path: String) throws(FileError) {
        let folder = FileTree.parent(of: path)
        let beginning = (path.split(separator: "/").last ?? "") + ".tmp"
        for name in try FileTree.names(in: folder) where name.hasPrefix(beginning) {
            try FileTree.remove("\(folder)/\(name)")
        }
    }

    /// Writes a text whole or not at all.
    package static func write(_ text: String, to path: String) throws(FileError) {
        var file = try AtomicFile(path)
        try file.append(Array(text.utf8))
        try file.commit()
    }
}
