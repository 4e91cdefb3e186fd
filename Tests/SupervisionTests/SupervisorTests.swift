import Glibc
import Locking
import Logging
import Supervision
import TestSupport
import Testing

/// Real processes: shell scripts in the roles.
@Suite(.timeLimit(.minutes(5))) struct SupervisorTests {
    // Testing has one too.
    typealias ExitStatus = Supervision.ExitStatus
    let temporary: TemporaryFolder
    var folder: String { temporary.path }

    init() throws { temporary = try TemporaryFolder() }

    private func script(_ name: String, _ text: String, learner: Bool = false) -> ProcessSpec {
        ProcessSpec(
            name: name, role: learner ? .learner : .member, executable: "/bin/sh",
            arguments: ["-c", "cd '\(folder)'\n" + text, "sh", ProcessSpec.endpointPlaceholder],
            environment: ["OPD_TEST": "given"], logPath: "\(folder)/\(name).log")
    }

    private func run(
        learner: String, members: [String: String] = [:], endpoint: EndpointSource = .fixed("tcp://x:1"),
        signals: AsyncStream<Int32> = AsyncStream { _ in },
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        _ change: (inout SupervisorOptions) -> Void = { _ in }
    ) async -> ExitStatus {
        var options = SupervisorOptions()
        options.firstBackoff = .milliseconds(50)
        options.longestBackoff = .milliseconds(200)
        options.grace = .milliseconds(500)
        options.repeatedSignal = .milliseconds(1)
        change(&options)
        let plan =
            [script("learner", learner, learner: true)]
            + members.sorted { $0.key < $1.key }.map { script($0.key, $0.value) }
        let supervisor = Supervisor(
            plan: plan, endpoint: endpoint, resumeCommand: "opd run x.yaml --resume", options: options,
            logger: logger)
        return await supervisor.run(signals: signals) { $0 }
    }

    private func isGone(_ pidFile: String) throws -> Bool {
        let text = try #require(temporary.read(pidFile), "\(pidFile) was not written")
        let pid = try #require(pid_t(text.split(separator: "\n").first ?? ""))
        // Not even a zombie. A process that is no child of this one is reaped by whoever adopts it.
        for _ in 0..<200 {
            if access("/proc/\(pid)", F_OK) != 0 { return true }
            usleep(10_000)
        }
        return false
    }

    @Test func aRunEndsWithItsLearner() async throws {
        let status = await run(
            learner: "while [ ! -s member.pid ]; do sleep 0.02; done; echo said",
            members: ["rollout-0": "echo \"at $1 $OPD_TEST $OPD_CHILD\"; echo $$ > member.pid; exec sleep 1000"])
        #expect(status == ExitStatus(code: 0))
        #expect(try isGone("member.pid"))
        #expect(temporary.read("rollout-0.log") == "at tcp://x:1 given \(getpid())\n")
        #expect(temporary.read("learner.log") == "said\n")
    }

    @Test func membersWaitForTheEndpointFile() async throws {
        try temporary.write("tcp://stale:1\n", "endpoint")
        let status = await run(
            learner: """
                sleep 0.3; [ ! -e member.log ] || exit 9
                printf 'tcp://0.0.0.0:77\\n' > e; mv e endpoint
                while [ ! -s seen ]; do sleep 0.02; done
                """,
            members: ["member": "echo $1 > seen.tmp; mv seen.tmp seen; exec sleep 1000"],
            endpoint: .file("\(folder)/endpoint"))
        #expect(status == ExitStatus(code: 0))
        #expect(temporary.read("seen") == "tcp://127.0.0.1:77\n", "not the one of the last run; reachable from here")
    }

    @Test func noEndpointNoRun() async throws {
        let status = await run(
            learner: "exec sleep 1000", members: ["member": "exit 0"], endpoint: .file("\(folder)/endpoint")
        ) { $0.endpointTimeout = .milliseconds(300) }
        #expect(status == ExitStatus(code: 1, error: "the learner did not begin to listen within 0.3 s"))
        #expect(temporary.read("member.log") == nil)
    }

    @Test func deadMembersAreStartedAgain() async throws {
        let status = await run(
            learner: "while [ ! -s done ]; do sleep 0.02; done",
            members: [
                "killed": "echo x >> lives; [ $(wc -l < lives) -lt 3 ] && kill -9 $$; echo y > done; exec sleep 1000"
            ])
        #expect(status == ExitStatus(code: 0))
        #expect(temporary.read("lives") == "x\nx\nx\n")
    }

    @Test func aHopelessMemberEndsTheRun() async throws {
        let status = await run(
            learner:
                "echo $$ > learner.pid; trap 'echo saved > checkpoint; exit 143' TERM; while :; do sleep 0.05; done",
            members: ["scorer-0": "echo x >> lives; echo 'first line'; echo; echo 'no such model' >&2; exit 3"]
        ) { $0.deathsAllowed = 3 }
        #expect(status.code == 1)
        #expect(
            status.error == """
                scorer-0 died 3 times in a row; the last time it ended with exit status 3; the end of \(folder)/scorer-0.log:
                  no such model
                  first line
                  no such model
                  first line
                  no such model
                """)
        #expect(status.hint == "continue the run with: opd run x.yaml --resume")
        #expect(temporary.read("lives") == "x\nx\nx\n")
        #expect(temporary.read("checkpoint") == "saved\n")
        #expect(try isGone("learner.pid"))
    }

    /// Who waits for a server that is not there is told of it before the run gives up, and once when it does.
    @Test func aMemberThatDiesSaysWhy() async throws {
        let log = KeptLog()
        let status = await run(
            learner: "exec sleep 1000", members: ["scorer-0": "echo 'error: nobody is at http://x' >&2; exit 1"],
            logger: Logger(label: "test") { _ in log }
        ) { $0.deathsAllowed = 2 }
        let said = "starting it again in 0 s; it said: nobody is at http://x"
        #expect(log.lines.contains("scorer-0 ended with exit status 1; \(said)"), "\(log.lines)")
        #expect(
            status.error
                == "scorer-0 died 2 times in a row; the last time it ended with exit status 1; the end of \(folder)/scorer-0.log:\n  error: nobody is at http://x"
        )
    }

    @Test func aRefusedConfigurationIsNotRetried() async throws {
        let status = await run(
            learner: "exec sleep 1000", members: ["rollout-0": "echo x >> lives; echo 'error: bad' >&2; exit 2"])
        #expect(status.code == 2)
        #expect(
            status.error
                == "rollout-0 refused its configuration or models (exit status 2); the end of \(folder)/rollout-0.log:\n  error: bad"
        )
        #expect(status.hint == nil)
        #expect(temporary.read("lives") == "x\n")
    }

    @Test func aDeadLearnerTakesAllWithIt() async throws {
        let status = await run(
            learner: "while [ ! -s a.pid -o ! -s b.pid ]; do sleep 0.02; done; kill -9 $$",
            members: [
                "a": "echo $$ > a.pid; exec sleep 1000",
                "b": "trap '' TERM; echo $$ > b.pid; while :; do sleep 0.05; done",
            ])
        #expect(status.code == 1)
        #expect(status.error?.hasPrefix("the learner was killed by signal 9 (SIGKILL") == true)
        #expect(status.hint == "continue the run with: opd run x.yaml --resume")
        #expect(try isGone("a.pid"))
        #expect(try isGone("b.pid"), "one that ignores SIGTERM too")
    }

    @Test func nothingStartedByAMemberOutlivesIt() async throws {
        let status = await run(
            learner: "while [ ! -s done ]; do sleep 0.02; done",
            members: [
                "member": """
                if [ -s grandchild.pid ]; then echo x > done; exec sleep 1000; fi
                sh -c 'trap "" TERM HUP; while :; do sleep 0.05; done' & echo $! > grandchild.pid; exit 1
                """
            ])
        #expect(status.code == 0)
        #expect(try isGone("grandchild.pid"))
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalEndsTheRunWithACheckpoint(signal: Int32) async throws {
        let (signals, send) = AsyncStream.makeStream(of: Int32.self)
        async let status = run(
            learner: "trap 'echo saved > checkpoint; exit 143' TERM INT; echo r > ready; while :; do sleep 0.05; done",
            members: ["member": "echo $$ > member.pid; exec sleep 1000"], signals: signals)
        while temporary.read("ready") != "r\n" || temporary.read("member.pid")?.hasSuffix("\n") != true {
            try await Task.sleep(for: .milliseconds(20))
        }
        send.yield(signal)
        #expect(await status == ExitStatus(code: 128 + signal, hint: "continue the run with: opd run x.yaml --resume"))
        #expect(temporary.read("checkpoint") == "saved\n")
        #expect(try isGone("member.pid"))
    }

    @Test func aSecondSignalDoesNotWait() async throws {
        let (signals, send) = AsyncStream.makeStream(of: Int32.self)
        async let status = run(
            learner: "trap 'echo asked > asked' INT; echo $$ > learner.pid; while :; do sleep 0.05; done",
            signals: signals)
        while temporary.read("learner.pid")?.hasSuffix("\n") != true { try await Task.sleep(for: .milliseconds(20)) }
        send.yield(SIGINT)
        while temporary.read("asked") != "asked\n" { try await Task.sleep(for: .milliseconds(20)) }
        send.yield(SIGINT)
        #expect(await status.code == 130)
        #expect(try isGone("learner.pid"))
    }

    @Test func childrenStartClean() async throws {
        // What a process ignores, its children would ignore.
        signal(SIGUSR2, SIG_IGN)
        defer { signal(SIGUSR2, SIG_DFL) }
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        let status = await run(
            learner: """
                grep -E 'SigIgn|SigBlk' /proc/self/status
                echo "group $(cut -d ' ' -f 5 /proc/$$/stat) $$"
                for f in 0 1 2 \(leak); do [ -e /proc/$$/fd/$f ] && echo open $f; done
                readlink /proc/$$/fd/0
                exit 0
                """)
        #expect(status.code == 0)
        let lines = try #require(temporary.read("learner.log")).split(separator: "\n").map(String.init)
        for set in ["SigIgn:", "SigBlk:"] {
            let digits = try #require(lines.first { $0.hasPrefix(set) }?.split(separator: "\t").last)
            // Signals 32 and 33 are glibc's own; it has its children ignore them.
            #expect(try #require(UInt64(digits, radix: 16)) & 0x7fff_ffff == 0, "\(set) \(digits)")
        }
        let group = lines.first { $0.hasPrefix("group") }?.split(separator: " ") ?? []
        #expect(group.count == 3 && group[1] == group[2], "a group of its own, so that Ctrl-C is the supervisor's")
        #expect(lines.filter { $0.hasPrefix("open") } == ["open 0", "open 1", "open 2"])
        #expect(lines.last == "/dev/null")
    }

    /// Other programs, and people, find a run's processes by the program's name.
    @Test func thisProgramGoesByItsName() {
        let program = ChildProcess.program("/proc/self/exe")
        #expect(program.path == program.name)
        #expect(program.path != "/proc/self/exe")
        #expect(access(program.path, X_OK) == 0)
        #expect(ChildProcess.program("/bin/sh") == ("/bin/sh", "/bin/sh"))
    }

    @Test func whatCannotBeStartedIsNamed() async throws {
        let supervisor = Supervisor(
            plan: [ProcessSpec(name: "learner", role: .learner, executable: "/nowhere/opd", arguments: [])],
            endpoint: .fixed("x"), resumeCommand: "", logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let status = await supervisor.run(signals: AsyncStream { _ in }) { (signal: Int32) in signal }
        #expect(
            status
                == ExitStatus(
                    code: 1, error: "the learner could not be started: /nowhere/opd: No such file or directory"))
    }

    /// The parent-death signal follows the thread that started a process, so that thread must last.
    @Test(.enabled(if: access("/usr/bin/setpriv", X_OK) == 0))
    func childrenThatFollowTheirParentLive() async throws {
        let status = await run(
            learner: "while [ ! -s done ]; do sleep 0.02; done",
            members: [
                "member": "echo x >> lives; exec setpriv --pdeathsig KILL sh -c 'sleep 1.5; echo x > done; sleep 1000'"
            ])
        #expect(status.code == 0)
        #expect(temporary.read("lives") == "x\n")
    }
}

/// Keeps what is logged.
private struct KeptLog: LogHandler {
    private let kept = Locked<[String]>([])
    var lines: [String] { kept.withLock { $0 } }
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { kept.withLock { $0.append("\(event.message)") } }
}
