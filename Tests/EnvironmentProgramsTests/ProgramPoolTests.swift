import EnvironmentPrograms
import Environments
import Foundation
import TestSupport
import Testing

/// Real programs, in Python: those that do as they should, and those that do not.
@Suite(.serialized) struct ProgramPoolTests {
    /// A program of which `body` is called for every message, with `tell` for an answer.
    private static func program(_ body: String, in folder: String) throws -> [String] {
        let path = "\(folder)/world-\(UUID().uuidString).py"
        let text = """
            import json, os, subprocess, sys, time
            def tell(**answer):
                print(json.dumps(answer), flush=True)
            def react(message, count, type, episode):
            \(body.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n"))
            for count, line in enumerate(sys.stdin):
                message = json.loads(line)
                react(message, count, message["type"], message["episode"])
            """
        try Data(text.utf8).write(to: URL(filePath: path))
        return ["python3", path]
    }

    /// Counts the turns of each episode, and is done with the third.
    private static let counter = """
        global turns
        if count == 0: turns = {}
        if type == "reset": turns[episode] = 0
        if type != "step": return tell(episode=episode)
        turns[episode] += 1
        assert message["turn"] == turns[episode]
        if turns[episode] < 3: return tell(episode=episode, observation=f"{message['text']} {turns[episode]}", reward=0)
        del turns[episode]
        tell(episode=episode, done=True, reward=1)
        """

    private static func settings(
        _ body: String, in folder: String, slots: Int = 1, programs: Int = 1, memory: UInt64? = nil,
        failures: Int = 1
    ) throws -> ProgramSettings {
        var settings = ProgramSettings(
            command: try program(body, in: folder), slots: slots, mostPrograms: programs, startLimit: .seconds(60),
            addressSpace: memory, logPath: "\(folder)/log")
        settings.mostFailures = failures
        settings.backoff = { _ in .milliseconds(1) }
        return settings
    }

    private static func pool(_ settings: ProgramSettings) -> ProgramPool {
        ProgramPool(settings, logger: .silent)
    }

    private static let start = EpisodeStart(fields: "{\"prompt\": \"x\"}", seed: 5)

    /// Plays an episode to its end.
    private static func play(_ episode: UInt64, _ pool: ProgramPool) async throws -> [String] {
        var told: [String] = []
        while true {
            let step = try await pool.step(episode, start, "e\(episode)")
            if step.isDone { return told + ["\(step.reward ?? -1)"] }
            told.append(step.observation)
        }
    }

    /// More episodes than there is room for, whoever plays which.
    @Test(arguments: [(1, 1), (1, 3), (4, 2)])
    func everyEpisodeIsPlayed(slots: Int, programs: Int) async throws {
        try await withTemporaryFolder { folder in
            let pool = Self.pool(try Self.settings(Self.counter, in: folder, slots: slots, programs: programs))
            let told = try await withThrowingTaskGroup(of: (UInt64, [String]).self) { group in
                for episode in 1...12 as ClosedRange<UInt64> {
                    group.addTask { (episode, try await Self.play(episode, pool)) }
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            await pool.close()
            for episode in 1...12 as ClosedRange<UInt64> {
                #expect(told[episode] == ["e\(episode) 1", "e\(episode) 2", "1.0"])
            }
        }
    }

    /// One that is given up gives its place to another.
    @Test func anEpisodeCanBeForgotten() async throws {
        try await withTemporaryFolder { folder in
            let pool = Self.pool(try Self.settings(Self.counter, in: folder))
            #expect(try await pool.step(1, Self.start, "a").observation == "a 1")
            async let second = Self.play(2, pool)
            await pool.end(1)
            #expect(try await second == ["e2 1", "e2 2", "1.0"])
            await pool.close()
        }
    }

    /// What programs do wrong has a name, their last words, and ends what has failed too often.
    @Test(arguments: [
        ("print('at the end', file=sys.stderr); sys.exit(3)", "ended with exit status 3; its last words: at the end"),
        ("os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("raise ValueError('no world')", "its last words: ValueError: no world"),
        ("time.sleep(600)", "gave no answer within 0.4 s"),
        ("print('{', flush=True)", "gave an answer that is not valid JSON"),
        ("tell(episode=episode + 1)", "and was asked about 1"),
        ("os.write(1, b'{\"episode\": 1}\\n' * 2)", "wrote what nobody asked for: '{\"episode\": 1}"),
        ("tell(episode=episode); os.close(1); time.sleep(600)", "closed its standard output"),
        ("while True: print('x' * 65536, end='', flush=True)", "wrote a line of more than 1048576 bytes"),
        ("while True: print('x' * 65536, file=sys.stderr, flush=True)", "gave no answer within 0.4 s"),
        ("tell(episode=episode) if type == 'reset' else bytearray(1 << 31)", "MemoryError"),
    ])
    func whatIsWrongIsNamed(body: String, reason: String) async throws {
        try await withTemporaryFolder { folder in
            var settings = try Self.settings(body, in: folder, memory: 1 << 30)
            if reason.contains("0.4 s") {
                (settings.startLimit, settings.answerLimit) = (.milliseconds(400), .milliseconds(400))
            }
            let pool = Self.pool(settings)
            let failure = await #expect(throws: EnvironmentFailure.self) {
                while true { _ = try await pool.step(1, Self.start, "x") }
            }
            let message = failure?.message ?? ""
            #expect(failure?.isFinal == true && message.contains("failed 1 times in a row"), "\(message)")
            #expect(message.contains(settings.name) && message.contains(reason), "\(message)")
            #expect(!message.contains("\n"))
            await pool.close()
        }
    }

    @Test func aProgramThatIsNotThereIsNamed() async throws {
        let settings = ProgramSettings(command: ["/no/such/world"], logPath: "/dev/null")
        let flaw = await ProgramPool.flaw(of: settings, beginning: Self.start)
        #expect(flaw?.hasPrefix("'/no/such/world' could not be started: ") == true)
        #expect(flaw?.hasSuffix("No such file or directory") == true, "\(flaw ?? "")")
    }

    @Test func aProgramIsTried() async throws {
        try await withTemporaryFolder { folder in
            #expect(
                await ProgramPool.flaw(of: try Self.settings(Self.counter, in: folder), beginning: Self.start) == nil)
            let bad = try Self.settings("print(message['prompt']['prompt'], flush=True)", in: folder)
            let flaw = await ProgramPool.flaw(of: bad, beginning: Self.start)
            #expect(flaw?.hasPrefix("\(bad.name) gave an answer that is not valid JSON") == true)
        }
    }

    /// A program that dies is started again, and another episode is not to blame for it.
    @Test func aProgramIsStartedAgain() async throws {
        try await withTemporaryFolder { folder in
            let body = "if type == 'step' and message['text'] == 'die': sys.exit(1)\n" + Self.counter
            let pool = Self.pool(try Self.settings(body, in: folder, slots: 2, failures: 3))
            for round in 0..<4 as Range<UInt64> {
                let first = 2 * round + 1
                #expect(try await pool.step(first, Self.start, "a").observation == "a 1")
                #expect(try await pool.step(first + 1, Self.start, "b").observation == "b 1")
                let own = await #expect(throws: EnvironmentFailure.self) {
                    try await pool.step(first, Self.start, "die")
                }
                #expect(own?.isOwn == true && own?.isFinal == false && own?.message.contains("exit status 1") == true)
                let other = await #expect(throws: EnvironmentFailure.self) {
                    try await pool.step(first + 1, Self.start, "b")
                }
                #expect(other?.isOwn == false)
                // An episode that is played to its end ends the row of failures.
                #expect(try await Self.play(100 + round, pool).last == "1.0")
            }
            await pool.close()
        }
    }

    /// A prompt that no program outlives ends none of the others' episodes, however many samples it has.
    @Test func onePromptIsNoReasonToEnd() async throws {
        try await withTemporaryFolder { folder in
            let body = "if type == 'step' and message['text'] == 'die': sys.exit(1)\n" + Self.counter
            var settings = ProgramSettings(
                command: try Self.program(body, in: folder), samplesPerPrompt: 4, logPath: "\(folder)/log")
            settings.backoff = { _ in .milliseconds(1) }
            let pool = Self.pool(settings)
            // Each of its samples is played twice.
            for episode in 1...8 as ClosedRange<UInt64> {
                let failure = await #expect(throws: EnvironmentFailure.self) {
                    try await pool.step(episode, Self.start, "die")
                }
                #expect(failure?.isFinal == false)
            }
            #expect(try await Self.play(9, pool).last == "1.0")
            await pool.close()
            #expect(ProgramSettings(command: ["x"], logPath: "").mostFailures == 5)
        }
    }

    /// What a program starts ends with it.
    @Test func aChildDoesNotOutliveItsProgram() async throws {
        try await withTemporaryFolder { folder in
            let body = """
                if count == 0:
                    child = subprocess.Popen(["sleep", "600"])
                    open("\(folder)/child", "w").write(str(child.pid))
                if type == "step": os._exit(0)
                tell(episode=episode)
                """
            let pool = Self.pool(try Self.settings(body, in: folder))
            // The child holds its output open: its end is known all the same.
            await #expect(throws: EnvironmentFailure.self) { try await pool.step(1, Self.start, "x") }
            await pool.close()
            let child = try #require(pid_t(try String(contentsOfFile: "\(folder)/child", encoding: .utf8)))
            // It is killed, and dies a moment later; a zombie that nobody has waited for is dead, too.
            func isAlive() -> Bool {
                let state = try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)
                return state?.contains(") Z ") == false
            }
            for _ in 0..<2000 where isAlive() { try await Task.sleep(for: .milliseconds(10)) }
            #expect(!isAlive())
        }
    }

    @Test func closingEndsWhatRuns() async throws {
        try await withTemporaryFolder { folder in
            let body = "open('\(folder)/pid', 'w').write(str(os.getpid()))\n" + Self.counter
            let pool = Self.pool(try Self.settings(body, in: folder))
            _ = try await pool.step(1, Self.start, "x")
            await pool.close()
            let pid = try #require(pid_t(try String(contentsOfFile: "\(folder)/pid", encoding: .utf8)))
            #expect(kill(pid, 0) != 0)
            await #expect(throws: EnvironmentFailure.self) { try await pool.step(1, Self.start, "x") }
        }
    }
}
