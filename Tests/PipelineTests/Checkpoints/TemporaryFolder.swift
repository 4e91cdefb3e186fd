import Glibc
import RunFiles
import Testing

/// A folder under the system's temporary one, removed with the last reference.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/opd-test-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) != nil }
        try #require(made, "mkdtemp: \(String(cString: strerror(errno)))")
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = try? shell("rm -rf '\(path)'") }

    func write(_ text: String, _ name: String) throws { try writeText(text, to: "\(path)/\(name)") }
    /// An empty one in `checkpoints`.
    func checkpointStore() throws -> CheckpointStore {
        let store = CheckpointStore(folder: "\(path)/checkpoints")
        try store.prepare()
        return store
    }

    func read(_ name: String) -> String? { readText("\(path)/\(name)") }
}

struct TestFileError: Error { let path: String, code: Int32 }

func writeText(_ text: String, to path: String) throws {
    guard let file = fopen(path, "w") else { throw TestFileError(path: path, code: errno) }
    let written = fputs(text, file)
    // A full disk shows at the flush.
    guard written >= 0, fflush(file) == 0 else {
        let code = errno
        fclose(file)
        throw TestFileError(path: path, code: code)
    }
    fclose(file)
}

func readText(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    while case let byte = getc(file), byte != EOF { bytes.append(UInt8(byte)) }
    return String(decoding: bytes, as: UTF8.self)
}

/// Names in a folder, hidden ones too, sorted.
func names(_ folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// The exit status of a shell command.
func shell(_ command: String) throws -> Int32 {
    var pid: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = ["/bin/sh", "-c", command].map { strdup($0 as String) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    let code = posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, environ)
    guard code == 0 else { throw TestFileError(path: "/bin/sh", code: code) }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status >> 8 & 0xff
}
