import Foundation

/// The `opd` binary that was built with these tests, or the one that `OPD_BINARY` names.
enum Binary {
    static let path =
        ProcessInfo.processInfo.environment["OPD_BINARY"]
        ?? URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "opd").path

    struct Output: Sendable {
        var status: Int32
        var output: String
        var errors: String
        var lines: [String] { output.split(separator: "\n").map(String.init) }
        var errorLines: [String] { errors.split(separator: "\n").map(String.init) }
    }

    /// A process that runs on its own.
    final class Running {
        let process = Process()
        /// The folder of what it reads and writes, which lives as long as this does.
        private let folder: String

        init(
            _ arguments: [String], of program: String = Binary.path, input: String, folder: String,
            environment: [String: String]
        ) throws {
            self.folder = NSTemporaryDirectory() + "opd-output-" + UUID().uuidString
            try FileManager.default.createDirectory(atPath: self.folder, withIntermediateDirectories: true)
            for name in ["out", "err"] { try Data().write(to: URL(filePath: "\(self.folder)/\(name)")) }
            try Data(input.utf8).write(to: URL(filePath: "\(self.folder)/in"))
            process.executableURL = URL(filePath: program)
            process.arguments = arguments
            process.currentDirectoryURL = URL(filePath: folder)
            process.environment = ProcessInfo.processInfo.environment
                .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.merging(environment) { $1 }
            process.standardInput = FileHandle(forReadingAtPath: "\(self.folder)/in")
            process.standardOutput = FileHandle(forWritingAtPath: "\(self.folder)/out")
            process.standardError = FileHandle(forWritingAtPath: "\(self.folder)/err")
            try process.run()
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        var errors: String { (try? String(contentsOfFile: "\(folder)/err", encoding: .utf8)) ?? "" }
        var output: String { (try? String(contentsOfFile: "\(folder)/out", encoding: .utf8)) ?? "" }

        /// Waits for the end; kills what takes longer than `seconds` and reports status -1.
        func finish(within seconds: Double) async -> Output {
            let deadline = Date().addingTimeInterval(seconds)
            while process.isRunning, Date() < deadline { try? await Task.sleep(for: .milliseconds(10)) }
            let isLate = process.isRunning
            if isLate { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
            return Output(status: isLate ? -1 : process.terminationStatus, output: output, errors: errors)
        }
    }

    /// Words that start a run of `run.yaml` under a name.
    /// - Parameter settings: `key=value` texts that override the file.
    static func runWords(_ name: String, _ settings: [String], _ flags: [String] = []) -> [String] {
        ["run", "run.yaml"] + flags + (["name=\(name)"] + settings).flatMap { ["--set", $0] }
    }

    /// Runs the binary to its end in `folder`.
    static func run(
        _ arguments: [String], of program: String = path, input: String = "", in folder: String,
        environment: [String: String] = [:], within seconds: Double = 300
    ) async throws -> Output {
        try await Running(arguments, of: program, input: input, folder: folder, environment: environment)
            .finish(within: seconds)
    }
}

func write(_ text: String, _ path: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }
