import Foundation
import JSON
import TestSupport
import Testing

/// `opd watch`, and `opd run --watch`, as real processes.
@Suite struct LivePageTests {
    /// The body of what is at an address; nil where nobody answers.
    private static func get(_ address: String) async throws -> String? {
        let fetched = Process()
        fetched.executableURL = URL(filePath: "/usr/bin/env")
        fetched.arguments = [
            "python3", "-c",
            "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())",
            address,
        ]
        let output = Pipe()
        fetched.standardOutput = output
        fetched.standardError = FileHandle.nullDevice
        try fetched.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        fetched.waitUntilExit()
        return fetched.terminationStatus == 0 ? String(decoding: bytes, as: UTF8.self) : nil
    }

    private static func waited<Found>(_ seconds: Double = 240, _ find: () async throws -> Found?) async throws -> Found?
    {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if let found = try await find() { return found }
            try await Task.sleep(for: .milliseconds(100))
        }
        return nil
    }

    /// The page lives as long as the run does, and the run's numbers are there while it goes on.
    @Test func aRunShowsItsPageAndTakesItWithIt() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 400)
            let run = try Binary.Running(
                ["run", "run.yaml", "--watch"], input: "", folder: folder, environment: [:])
            let found = try await Self.waited {
                run.errors.firstMatch(of: /watch the run at (http:\/\/127\.0\.0\.1:[0-9]+\/)\n/).map { String($0.1) }
            }
            let page = try #require(found, "\(run.errors)")
            let numbers = try await Self.waited { () async throws -> String? in
                guard let text = try await Self.get("\(page)metrics"), text.contains("opd_learner_up{run=\"tiny\"} 1.0")
                else { return nil }
                return text.contains("opd_step{run=\"tiny\"}") ? text : nil
            }
            let shown = try #require(numbers, "\(run.errors)")
            #expect(shown.contains("opd_member_tasks{run=\"tiny\",member=\"rollout-0\",role=\"rollout\"}"))
            #expect(
                shown.contains("opd_run_active{run=\"tiny\"} 1.0")
                    && shown.contains("opd_steps_wanted{run=\"tiny\"} 400.0"))
            #expect(try await Self.get(page)?.contains("<title>tiny</title>") == true)
            run.process.interrupt()
            let end = await run.finish(within: 180)
            #expect(end.status == 130, "\(end.errors)")
            #expect(try await Self.get(page) == nil)
        }
    }

    /// Who sits at a terminal is told, with the run's first lines, what shows it.
    @Test func aPersonIsToldWhatShowsTheRun() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
            func said(_ options: [String]) async throws -> String {
                let end = try await Binary.run(
                    ["-c", terminal, Binary.path, "run", "run.yaml", "--again"] + options, of: "/usr/bin/python3",
                    in: folder)
                #expect(end.status == 0, "\(end.output)")
                return end.output
            }
            #expect(try await said([]).contains(/watch it in a browser: \S+ watch runs\/tiny, in another terminal/))
            #expect(try await !said(["--quiet"]).contains("watch it"))
        }
    }

    @Test func whatCannotBeWatchedIsRefusedInOneLine() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let refused = try await Binary.run(["run", "run.yaml", "--watch", "--dry-run"], in: folder)
            #expect(refused.status == 2 && refused.errorLines.count == 1, "\(refused.errors)")
            for arguments in [
                ["watch"], ["watch", "nowhere"], ["watch", "."],
                ["watch", "tcp://127.0.0.1:1", "--host", "no.such.invalid"],
                ["watch", "tcp://127.0.0.1:1", "--token-file", "run.yaml"],
            ] {
                let end = try await Binary.run(arguments, in: folder, within: 180)
                #expect((1...2).contains(end.status) && end.errors.contains("error: "), "\(arguments): \(end.errors)")
            }
        }
    }

    /// A watcher that is stopped or killed is nothing to the run.
    @Test func theRunDoesNotNoticeItsWatchersEnd() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 40)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            let isBegun = try await Self.waited {
                FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/config.yaml") ? true : nil
            }
            #expect(isBegun == true)
            for signal in [SIGSTOP, SIGKILL] {
                let watcher = try Binary.Running(
                    ["watch", "runs/tiny", "--port", "0"], input: "", folder: folder, environment: [:])
                try await Task.sleep(for: .milliseconds(500))
                kill(watcher.process.processIdentifier, signal)
                try await Task.sleep(for: .milliseconds(300))
                kill(watcher.process.processIdentifier, SIGKILL)
                _ = await watcher.finish(within: 180)
            }
            let end = await run.finish(within: 300)
            #expect(end.status == 0, "\(end.errors)")
        }
    }

    private static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    private static let hasBrowser = ["chromium", "chromium-browser", "google-chrome"].contains {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)")
    }

    /// Where a browser is installed: the page has the numbers of a run's files at two sizes, and complains of nothing.
    @Test(.enabled(if: hasBrowser)) func aBrowserShowsTheNumbersOfTheFiles() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 6)
            try #require(try await Binary.run(["run", "run.yaml"], in: folder).status == 0)
            let browser = Process()
            browser.executableURL = URL(filePath: "/usr/bin/env")
            browser.arguments = [
                "python3", "\(Self.repository)/scripts/watch/shots.py", Binary.path, "\(folder)/runs/tiny",
            ]
            let output = Pipe()
            browser.standardOutput = output
            browser.standardError = output
            try browser.run()
            let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            browser.waitUntilExit()
            #expect(browser.terminationStatus == 0, "\(said)")
        }
    }
}
