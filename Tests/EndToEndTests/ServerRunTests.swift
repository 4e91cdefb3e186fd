import Foundation
import TestSupport
import Testing

/// Runs beside a server: none that answers, and one that computes with `opd score` (scripts/reliability/server.py).
@Suite struct ServerRunTests {
    private static let script =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .path + "/scripts/reliability/server.py"

    private static let hasPython = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/python3")
    }

    /// An address at which nobody listens: that port is reserved.
    private static let nobody = "http://127.0.0.1:1"

    private func served(_ url: String) -> [String] {
        [
            "teachers.default.server.urls=[\"\(url)\"]", "teachers.default.tokenizer=teacher",
            "teachers.default.server.start_timeout_s=1",
        ]
    }

    private func run(_ overrides: [String], _ options: [String] = [], in folder: String) async throws -> Binary.Output {
        try await Binary.run(["run", "run.yaml"] + options + overrides.flatMap { ["--set", $0] }, in: folder)
    }

    @Test(arguments: [[], ["--dry-run"]]) func aServerThatIsNotThereEndsTheStartWithOneLine(
        _ options: [String]
    ) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let failed = try await run(served(Self.nobody), options, in: folder)
            let lines = failed.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(failed.status == 1 && lines.count == 1, "\(failed.errors)")
            let line = lines.first ?? ""
            #expect(line.hasPrefix("error: teachers.default.server: \(Self.nobody): "), "\(line)")
            #expect(line.contains("no server has answered for 1 s (teachers.default.server.start_timeout_s)"))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/runs/tiny"))
            // A member on its own ends with a status that says that it may be otherwise later.
            let scorer = try await Binary.run(
                ["scorer", "run.yaml", "--connect", "tcp://127.0.0.1:9"]
                    + served(Self.nobody).flatMap { ["--set", $0] }, in: folder)
            #expect(scorer.status == 69 && scorer.errors.contains("no server has answered for 1 s"), "\(scorer.errors)")
        }
    }

    /// What leaves less room in the server's context than `sampling.max_tokens` is sampled as long as there is room, and
    /// what leaves none is left out or refused, as for a model of files.
    @Test(.enabled(if: hasPython)) func promptsFitIntoTheContextOfAServer() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let (server, url) = try await start(context: 40, in: folder)
            defer {
                kill(server.processIdentifier, SIGKILL)
                server.waitUntilExit()
            }
            let settings = served(url) + ["teachers.default.server.start_timeout_s=60", "evaluation.every=0"]
            let refused = try await run(settings + ["data.overlong=refuse", "data.prompts=long.jsonl"], in: folder)
            #expect(refused.status == 2, "\(refused.errors)")
            #expect(refused.errors.contains("tokens, for which the context of 39 has no room"), "\(refused.errors)")
            let done = try await run(settings + ["sampling.max_tokens=200"], in: folder)
            #expect(done.status == 0, "\(done.errors)")
            #expect(done.errors.contains("leave less than sampling.max_tokens 200 of the context"), "\(done.errors)")
            #expect(done.errors.contains("it reads 39 tokens"), "\(done.errors)")
            let wrong = try await run(settings + ["teachers.default.server.model=other"], ["--again"], in: folder)
            #expect(wrong.status == 2, "\(wrong.errors)")
            #expect(wrong.errors.contains("has no model 'other'; it has 'model'"), "\(wrong.errors)")
        }
    }

    /// A server whose sequences have at most `context` tokens, once it answers.
    private func start(context: Int, in folder: String) async throws -> (Process, String) {
        try write("{\"prompt\": \"\(String(repeating: "0 1 2 ", count: 30))\"}\n", "\(folder)/long.jsonl")
        // Below the ports that a system gives out by itself.
        let port = Int.random(in: 20_000..<30_000)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "python3", Self.script, Binary.path, "\(folder)/teacher", folder, "\(port)", "--context", "\(context)",
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return (process, "http://127.0.0.1:\(port)")
    }
}
