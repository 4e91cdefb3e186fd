import CheckpointCopies
import Glibc
import TestSupport
import Testing

/// Programs that places are reached by.
@Suite(.timeLimit(.minutes(5))) struct ToolRunnerTests {
    private func sh(
        _ script: String, input: [UInt8] = [], limit: Int = 1 << 20, within seconds: Double = 240
    ) -> ToolRunner.Outcome? {
        ToolRunner().run("sh", ["-c", script], input: input, limit: limit, within: seconds)
    }

    private func lives(_ pid: pid_t) -> Bool {
        guard let text = readText("/proc/\(pid)/stat") else { return false }
        return text.split(separator: ")").last?.hasPrefix(" Z") == false
    }

    @Test func itIsGivenAndGivesBytes() {
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        let outcome = sh("cat; echo first >&2; echo 'last\u{1}' >&2; exit 3", input: bytes)
        #expect(outcome?.output == bytes && outcome?.status == 3 && outcome?.complaint == "last?")
        #expect(ToolRunner().run("no-such-program", [], within: 9) == nil)
    }

    /// A connection that is kept for later has the output open for longer than the program lives.
    @Test func whatIsLeftBehindIsNotWaitedFor() throws {
        let outcome = try #require(sh("sleep 1000 & echo $!"))
        let pid = try #require(pid_t(String(decoding: outcome.output.dropLast(), as: UTF8.self)))
        #expect(outcome.status == 0)
        // It was killed; whoever adopts it may take a moment to notice.
        while lives(pid) { usleep(1000) }
    }

    @Test func whatSaysTooMuchOrTakesTooLongIsEnded() {
        #expect(sh("yes", limit: 1000)?.output.count == 1001)
        #expect(sh("yes >&2")?.status == 128 + SIGKILL)
        let late = sh("sleep 1000", within: 0.1)
        #expect(late?.status == 128 + SIGKILL && late?.complaint == "it did not end within 0 s")
    }

    @Test func onceItIsStoppedNothingIsStarted() {
        let runner = ToolRunner()
        runner.stop()
        #expect(runner.run("true", [], within: 9) == nil)
    }
}
