import Foundation
import TestSupport
import Testing

/// Where `opd export`, `opd report` and `opd trace` write what they make.
@Suite struct ResultOutputTests {
    private static let commands = [
        ["report", "runs/tiny"], ["trace", "runs/tiny"], ["export", "runs/tiny", "--to", "csv"],
    ]
    private static let metrics =
        "{\"step\": 1, \"version\": 1, \"tokens_generated\": 1, \"tokens_trained\": 1, \"tokens_discarded\": 0, "
        + "\"tokens_in_flight\": 0}\n"

    private func inRun(_ body: (_ folder: String) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let run = "\(folder)/runs/tiny"
            for name in ["logs", "checkpoints"] {
                try FileManager.default.createDirectory(atPath: "\(run)/\(name)", withIntermediateDirectories: true)
            }
            try write(Self.metrics, "\(run)/metrics.jsonl")
            try write(
                "{\"step\": 1, \"member\": \"learner\", \"role\": \"learner\", \"offset_us\": 0, \"round_trip_us\": 0, "
                    + "\"stages\": [\"training\"], \"starts_us\": [5000], \"durations_us\": [7000]}\n",
                "\(run)/spans.jsonl")
            try await body(folder)
        }
    }

    private func opd(_ arguments: [String], in folder: String) async throws -> Binary.Output {
        try await Binary.run(arguments, in: folder)
    }

    @Test func aDashIsStandardOutput() async throws {
        try await inRun { folder in
            for command in Self.commands {
                let file = try await opd(command + ["-o", "file"], in: folder)
                #expect(file.status == 0 && file.lines.count == 1 && file.output.hasPrefix("file: "), "\(file.errors)")
                let piped = try await opd(command + ["-o", "-"], in: folder)
                let text = try String(contentsOfFile: "\(folder)/file", encoding: .utf8)
                #expect(piped.status == 0 && piped.output == text && !text.isEmpty, "\(command)")
                #expect(!FileManager.default.fileExists(atPath: "\(folder)/-"))
            }
        }
    }

    @Test func pipesDevicesAndLinksStayWhatTheyAre() async throws {
        try await inRun { folder in
            let files = FileManager.default
            for (index, command) in Self.commands.enumerated() {
                let pipe = "\(folder)/pipe\(index)"
                try #require(mkfifo(pipe, 0o600) == 0)
                let reader = try Binary.Running([pipe], of: "/bin/cat", input: "", folder: folder, environment: [:])
                #expect(try await opd(command + ["-o", "pipe\(index)"], in: folder).status == 0)
                #expect(await reader.finish(within: 60).output.isEmpty == false)
                // Only what leaves pipes alone is let near the system's devices.
                try #require(lstatType(pipe) == S_IFIFO)
                let thrown = try await opd(command + ["-o", "/dev/null"], in: folder)
                #expect(thrown.status == 0 && lstatType("/dev/null") == S_IFCHR, "\(thrown.errors)")
                let full = try await opd(command + ["-o", "/dev/full"], in: folder)
                #expect(full.status == 1 && full.errorLines.last?.hasPrefix("error: /dev/full: ") == true)
                // A link goes on leading to its file, which is written.
                try write("earlier", "\(folder)/target\(index)")
                try files.createSymbolicLink(atPath: "\(folder)/link\(index)", withDestinationPath: "target\(index)")
                #expect(try await opd(command + ["-o", "link\(index)"], in: folder).status == 0)
                #expect(try files.destinationOfSymbolicLink(atPath: "\(folder)/link\(index)") == "target\(index)")
                #expect(try String(contentsOfFile: "\(folder)/target\(index)", encoding: .utf8) != "earlier")
            }
        }
    }

    /// What kind of file a path itself is.
    private func lstatType(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    @Test func aRunsOwnFilesAreLeftAsTheyAre() async throws {
        try await inRun { folder in
            let files = FileManager.default
            try files.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "runs/tiny/metrics.jsonl")
            try files.createSymbolicLink(atPath: "\(folder)/nowhere", withDestinationPath: "none/at/all")
            try files.createSymbolicLink(atPath: "\(folder)/other", withDestinationPath: "runs/tiny")
            for command in Self.commands {
                for output in [
                    "link", "runs/tiny/metrics.jsonl", "runs/tiny/samples.jsonl", "other/config.yaml",
                    "runs/tiny/logs/learner.log", "runs/tiny/metrics-1.jsonl", "runs/../runs/tiny/endpoint", "nowhere",
                    "runs", "file/",
                ] {
                    let refused = try await opd(command + ["-o", output], in: folder)
                    #expect(refused.status == 2, "\(command) \(output): \(refused.errors)")
                    #expect(refused.errorLines.last?.hasPrefix("error: \(output) is a ") == true, "\(refused.errors)")
                }
                // What no run makes may stand in its folder.
                #expect(try await opd(command + ["-o", "other/mine"], in: folder).status == 0)
            }
            let kept = try String(contentsOfFile: "\(folder)/runs/tiny/metrics.jsonl", encoding: .utf8)
            #expect(kept == Self.metrics)
        }
    }
}
