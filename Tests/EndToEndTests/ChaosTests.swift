import Foundation
import Testing

/// What `make chaos` does hundreds of times, a few times: real processes, killed, suspended, cut off, on a full disk.
@Suite(.serialized) struct ChaosTests {
    private static let script =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .path + "/scripts/reliability/chaos.py"

    private static let hasPython = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/python3")
    }

    @Test(.enabled(if: hasPython), arguments: [0, 2])
    func aRunSurvives(staleness: Int) async throws {
        try await withTemporaryFolder { folder in
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = [
                "python3", Self.script, Binary.path, "--faults", "12", "--seed", "3", "--staleness", "\(staleness)",
            ]
            process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": folder]) { $1 }
            let output = "\(folder)/output"
            try Data().write(to: URL(filePath: output))
            process.standardOutput = FileHandle(forWritingAtPath: output)
            process.standardError = FileHandle(forWritingAtPath: output)
            try process.run()
            // It has bounds of its own: a run without a step for two minutes fails.
            while process.isRunning { try await Task.sleep(for: .milliseconds(20)) }
            let text = try String(contentsOfFile: output, encoding: .utf8)
            #expect(process.terminationStatus == 0, "\(text)")
            #expect(text.contains("12 faults survived in 36 steps"), "\(text)")
        }
    }
}
