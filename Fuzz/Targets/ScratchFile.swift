import Glibc

/// A file without a name that holds an input: for readers that map files.
struct ScratchFile: Sendable {
    private let descriptor: Int32

    static let shared = ScratchFile()
    /// The other file of readers of two.
    static let second = ScratchFile()

    private init() {
        var template = Array("/tmp/opd-fuzz-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0, unlink(template) == 0 else { fatalError("no scratch file in /tmp") }
    }

    /// The path of a file with these bytes, valid until the next call.
    func holding(_ bytes: [UInt8]) -> String {
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
            fatalError("the scratch file cannot be written")
        }
        return "/proc/self/fd/\(descriptor)"
    }
}
