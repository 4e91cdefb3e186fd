import Glibc
import RunFiles

/// A folder under the system's temporary one, removed with the last reference.
package final class TemporaryFolder: Sendable {
    package let path: String

    package init() throws {
        var template = Array("/tmp/opd-test-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) != nil }
        guard made else { throw TestFileError(path: "/tmp/opd-test-XXXXXX", code: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = try? shell("rm -rf '\(path)'") }

    package func write(_ text: String, _ name: String) throws { try writeText(text, to: "\(path)/\(name)") }
    /// An empty one in `checkpoints`.
    package func checkpointStore() throws -> CheckpointStore {
        let store = CheckpointStore(folder: "\(path)/checkpoints")
        try store.prepare()
        return store
    }

    package func read(_ name: String) -> String? { readText("\(path)/\(name)") }

    /// - Throws: `TestFileError` where there is no such file.
    package func text(of name: String) throws -> String {
        guard let text = read(name) else { throw TestFileError(path: "\(path)/\(name)", code: ENOENT) }
        return text
    }
}

package struct TestFileError: Error {
    let path: String
    let code: Int32

    package init(path: String, code: Int32) {
        self.path = path
        self.code = code
    }
}

/// Runs `body` with the path of a fresh folder, which is removed afterwards.
package func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = try TemporaryFolder()
    return try withExtendedLifetime(folder) { try body(folder.path) }
}

/// Runs `body` with the path of a fresh folder, which is removed afterwards.
package func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    return try await body(folder.path)
}

package func writeText(_ text: String, to path: String) throws {
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

package func readText(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    while case let byte = getc(file), byte != EOF { bytes.append(UInt8(byte)) }
    return String(decoding: bytes, as: UTF8.self)
}

/// Names in a folder, hidden ones too, sorted.
package func names(_ folder: String) -> [String] {
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
package func shell(_ command: String) throws -> Int32 {
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
