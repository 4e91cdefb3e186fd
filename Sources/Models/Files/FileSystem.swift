import Files
import Glibc
import JSON

/// Files as readers and writers of models use them: over `Files`, with what fails told as a ``ModelError``.
enum FileSystem {
    static func isDirectory(_ path: String) -> Bool { FileTree.leadsToFolder(path) }

    static func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Names in a folder, sorted.
    static func names(in folder: String) throws(ModelError) -> [String] {
        do { return try FileTree.names(in: folder) } catch { throw ModelError(error) }
    }

    static func map(_ path: String) throws(ModelError) -> MappedFile {
        do { return try MappedFile(path) } catch { throw ModelError(error) }
    }

    /// Begins a file that appears whole or not at all.
    static func begin(_ path: String) throws(ModelError) -> AtomicFile {
        do { return try AtomicFile(path) } catch { throw ModelError(error) }
    }

    /// All bytes of a file of at most `limit` bytes. The largest such files, tokenizers, have some 35 MB.
    static func read(_ path: String, limit: Int = 1 << 28) throws(ModelError) -> [UInt8] {
        let file = try map(path)
        guard file.bytes.count <= limit else {
            throw ModelError(
                .malformed, "\(path): \(file.bytes.count) bytes, more than such a file can have (\(limit))")
        }
        return Array(file.bytes)
    }

    /// The JSON document in a file of at most 16 MiB; the largest, indices of shards, have some 5 MB.
    ///
    /// `takesPythonWords` takes `NaN` and `Infinity` for texts, as `JSONValue.parse` has it.
    static func json(_ path: String, takesPythonWords: Bool = false) throws(ModelError) -> JSONValue {
        let bytes = try read(path, limit: 1 << 24)
        do { return try JSONValue.parse(bytes, takesPythonWords: takesPythonWords) } catch {
            throw ModelError(.malformed, "\(path): \(error)")
        }
    }

    static func createFolder(_ path: String) throws(ModelError) {
        do { try FileTree.createFolder(path) } catch {
            throw ModelError(.unwritable, "\(path): the folder cannot be created: \(error.reasonText)")
        }
    }

    static func remove(_ path: String) { unlink(path) }

    /// Whether both paths lead to one file or folder.
    static func isSame(_ a: String, _ b: String) -> Bool { FileTree.isSame(a, b) }

    /// Writes a file whole or not at all: under a temporary name, flushed, then renamed.
    static func write(_ text: String, to path: String) throws(ModelError) {
        do { try AtomicFile.write(text, to: path) } catch { throw ModelError(error) }
    }
}

extension ModelError {
    /// What a reader or writer of models makes of a file's failure.
    init(_ error: FileError) {
        let code: Code =
            switch error.attempt {
            case .use, .read, .map: .unreadable
            case .openForWriting, .write, .cut, .place: .unwritable
            }
        self.init(code, error.description)
    }
}
