import Foundation
import Testing

/// C that is loaded into a process before its libraries, to change what they say.
enum Preload {
    static let compiler: String? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .flatMap { ["\($0)/cc", "\($0)/clang"] }.first { FileManager.default.isExecutableFile(atPath: $0) }

    /// Compiles a file and returns the library's path, for `LD_PRELOAD`.
    static func build(_ source: String, in folder: String) throws -> String {
        let library = "\(folder)/\(URL(filePath: source).lastPathComponent).so"
        try compile(["-shared", "-fPIC", "-O1", "-o", library, source])
        return library
    }

    /// Calls the compiler with these arguments.
    static func compile(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: try #require(compiler))
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }
}

/// The wall clock of processes that are started with `environment`; see scripts/reliability/wallclock.c.
struct WallClock {
    let environment: [String: String]
    private let file: String

    init(in folder: String) throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let source = tests.deletingLastPathComponent().path + "/scripts/reliability/wallclock.c"
        file = "\(folder)/wallclock"
        environment = ["LD_PRELOAD": try Preload.build(source, in: folder), "WALLCLOCK_FILE": file]
        try withUnsafeBytes(of: Int64(0)) { try Data($0).write(to: URL(filePath: file)) }
    }

    /// Sets the clock to so many seconds from the machine's.
    func move(_ seconds: Int) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try withUnsafeBytes(of: Int64(seconds)) { try handle.write(contentsOf: Data($0)) }
        try handle.close()
    }
}
