import Foundation
import TestSupport
import Testing

/// What `make chaos` does hundreds of times, a few times: real processes, killed, suspended, cut off, on a full disk.
@Suite(.serialized) struct ChaosTests {
    private static let script =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .path + "/scripts/reliability/chaos.py"

    private static let hasPython = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/python3")
    }

    @Test(.enabled(if: hasPython), arguments: [["--staleness", "0"], ["--staleness", "2", "--keys"]])
    func aRunSurvives(_ options: [String]) async throws { try await run(["--faults", "12"] + options, faults: 12) }

    /// What is encrypted is as it was when connections come back, and equal to what a run in plain text gives.
    @Test(.enabled(if: hasPython)) func aRunWithKeysSurvivesItsConnections() async throws {
        try await run(["--faults", "10", "--keys", "--only", "cut", "silence", "slow", "suspend_learner"], faults: 10)
    }

    /// Steps of a small model are over so soon that 3 a fault leave the last faults no run.
    private static let stepsPerFault = 8

    private func run(_ options: [String], faults: Int) async throws {
        try await withTemporaryFolder { folder in
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments =
                ["python3", Self.script, Binary.path, "--seed", "3", "--steps-per-fault", "\(Self.stepsPerFault)"]
                + options
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
            #expect(text.contains("\(faults) faults survived in \(faults * Self.stepsPerFault) steps"), "\(text)")
        }
    }
}
