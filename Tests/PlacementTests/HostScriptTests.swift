import Foundation
import Placement
import TestSupport
import Testing
import Wording

/// What machines are told to do, by this machine's own shell.
@Suite struct HostScriptTests {
    private static func layout(_ folder: String) -> HostLayout {
        var layout = HostLayout.elsewhere(folder: folder, run: "run", site: "here")
        layout.program = "/bin/sh"
        return layout
    }

    private static func run(_ script: HostScript) async throws -> HostReport {
        let shell = try HostShell()
        let report: HostReport
        do { report = try await shell.run(script, on: .init(host: "here", ssh: nil)) } catch {
            await shell.close()
            throw error
        }
        await shell.close()
        return report
    }

    private static func process(_ name: String) -> PlacedProcess {
        PlacedProcess(name: name, role: .rollout(teacher: nil), host: "here", arguments: ["rollout"])
    }

    @Test func wordsReachAProgramAsTheyAre() throws {
        var random = SeededRandom(seed: 24)
        let pieces = Array("ab '\"\\$`!*?[]{}()<>|&;~#=%^\t\né\u{301}漢-").map(String.init) + ["'\u{301}", "$(x)", "--"]
        try withTemporaryFolder { folder in
            for round in 0..<60 {
                let words = (0..<4).map { _ in
                    (0..<Int(random.next() % 12)).map { _ in pieces[Int(random.next() % UInt64(pieces.count))] }
                        .joined()
                }
                let status = try shell("printf '%s\\0' \(ShellWord.line(words)) >\(folder)/out")
                let output = try Data(contentsOf: URL(filePath: "\(folder)/out"))
                #expect(status == 0)
                #expect(output == Data(words.map { $0 + "\0" }.joined().utf8), "round \(round): \(words)")
            }
        }
    }

    @Test func aProcessIsStartedOnceAndEnds() async throws {
        try await withTemporaryFolder { root in
            // The folder's name has what a careless script would take apart.
            let folder = "\(root)/it's a \"$(touch x)\" `fold`er"
            let layout = Self.layout(folder), process = Self.process("rollout-here-0")
            var start = HostScript(layout)
            start.start(process, arguments: ["-c", "echo \"$0\"; exec sleep 1000", "it's $HOME"])
            let first = try await Self.run(start)
            let running = try #require(first["rollout-here-0"])
            #expect(running.isRunning && running.fingerprint == process.fingerprint && first.problems == [])
            let second = try await Self.run(start)
            #expect(second["rollout-here-0"]?.pid == running.pid)
            #expect(second["rollout-here-0"]?.lastLine == "it's $HOME")
            #expect(kill(pid_t(running.pid), 0) == 0)

            var stop = HostScript(layout)
            stop.stop(["rollout-here-0"], grace: 20)
            let ended = try await Self.run(stop)
            #expect(ended["rollout-here-0"]?.state == .ended(143), "\(ended)")
            #expect(kill(pid_t(running.pid), 0) != 0 && ended.problems == [])
            #expect(names(root) == [String(folder.dropFirst(root.count + 1))], "nothing was made elsewhere")

            var forget = HostScript(layout)
            forget.stop(["rollout-here-0"], grace: 20, forgets: true)
            #expect(try await Self.run(forget).processes == [])
        }
    }

    @Test func whatDoesNotEndIsKilledAndToldOf() async throws {
        try await withTemporaryFolder { folder in
            let layout = Self.layout(folder)
            var start = HostScript(layout)
            start.start(Self.process("deaf"), arguments: ["-c", "trap '' TERM; while :; do sleep 0.1; done"])
            start.start(Self.process("short"), arguments: ["-c", "echo no; exit 3"])
            let pid = try #require(try await Self.run(start)["deaf"]?.pid)
            var stop = HostScript(layout)
            stop.stop(["deaf", "short"], grace: 1)
            let report = try await Self.run(stop)
            #expect(report["deaf"]?.state == .ended(137) && report["short"]?.state == .ended(3))
            #expect(report["short"]?.lastLine == "no")
            #expect(report.problems == ["deaf did not end by itself and was killed"])
            #expect(kill(pid_t(pid), 0) != 0)
        }
    }

    /// Nothing ends a process that hangs in the kernel: here SIGKILL does nothing.
    @Test func whatCannotBeEndedIsNotWaitedForForEver() async throws {
        try await withTemporaryFolder { folder in
            let layout = Self.layout(folder)
            var start = HostScript(layout)
            start.start(Self.process("stuck"), arguments: ["-c", "trap '' TERM; while :; do sleep 0.1; done"])
            let pid = try #require(try await Self.run(start)["stuck"]?.pid)
            defer { kill(pid_t(pid), SIGKILL) }
            var stop = HostScript(layout)
            stop.stop(["stuck"], grace: 0)
            try writeText(stop.text.replacing("kill -KILL", with: ": -KILL"), to: "\(folder)/script")
            #expect(try shell("timeout 60 sh -s <\(folder)/script >\(folder)/said") == 0)
            let report = try HostReport(text: readText("\(folder)/said") ?? "")
            #expect(report["stuck"]?.isRunning == true)
            #expect(report.problems == ["stuck did not end by itself and was killed"])
        }
    }

    /// A command that was told to end starts nothing more.
    @Test func afterACancellationNothingIsDone() async throws {
        try await withTemporaryFolder { folder in
            let task = Task {
                while !Task.isCancelled { await Task.yield() }
                var script = HostScript(Self.layout("\(folder)/made"))
                script.make(folders: ["x"])
                return try await Self.run(script)
            }
            task.cancel()
            await #expect(throws: HostError.self) { try await task.value }
            #expect(names(folder).isEmpty)
        }
    }

    @Test func anotherProcessWithItsNumberIsNotTakenForIt() async throws {
        try await withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/up/run", withIntermediateDirectories: true)
            let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
            // This very process, as if it had been started at another time.
            try writeText("\(getpid()) 1 17 \(boot) abc\n", to: "\(folder)/up/run/old.pid")
            try writeText("\(getpid()) 1 17 another-boot abc\n", to: "\(folder)/up/run/older.pid")
            var stop = HostScript(Self.layout(folder))
            stop.stop(["old", "older"], grace: 1)
            let report = try await Self.run(stop)
            #expect(report["old"]?.state == .lost && report["older"]?.state == .lost)
        }
    }

    @Test func aScriptThatIsCutShortDoesNothing() throws {
        try withTemporaryFolder { folder in
            var script = HostScript(Self.layout("\(folder)/made"))
            script.make(folders: ["x"])
            let text = script.text
            for length in stride(from: 0, to: text.utf8.count - "opd_host </dev/null".utf8.count, by: 97) {
                try writeText(String(decoding: text.utf8.prefix(length), as: UTF8.self), to: "\(folder)/script")
                _ = try shell("sh -s <\(folder)/script >/dev/null 2>&1")
            }
            #expect(names(folder) == ["script"])
        }
    }

    @Test func reportsThatAreNoneAreRefused() throws {
        let good =
            "welcome!\nopd-report 1\nfact\tcores\t4\nproblem\tit is late\nprocess\ta\trunning\t7\t9\tff\tlast\u{1b}[2J line\nopd-end\n"
        let report = try HostReport(text: good)
        #expect(report.number("cores") == 4 && report.problems == ["it is late"])
        #expect(
            report.processes == [
                .init(name: "a", state: .running, pid: 7, seconds: 9, fingerprint: "ff", lastLine: "last[2J line")
            ])
        for bad in [
            "", "opd-report 1\n", "opd-end\nopd-report 1\n", "opd-report 1\nwhat\nopd-end\n",
            "opd-report 1\nprocess\t../a\trunning\t7\t9\tff\tx\nopd-end\n",
            "opd-report 1\nprocess\ta\tflying\t7\t9\tff\tx\nopd-end\n",
            "opd-report 1\nfact\tx\t\(String(repeating: "y", count: 70_000))\nopd-end\n",
        ] { #expect(throws: UsageError.self) { _ = try HostReport(text: bad) } }
    }
}
