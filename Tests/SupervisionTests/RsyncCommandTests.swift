import Supervision
import Testing

/// The command line of rsync.
@Suite struct RsyncCommandTests {
    @Test func pathsAreNoOptionsAndShellsReadWords() {
        let words = RsyncCommand.words(
            over: ["ssh", "-o", "ControlPath=/tmp/a b/%C"], ["--delete"], ["-a/", "host:b/"])
        #expect(
            words == ["rsync", "-rtcs", "-e", "ssh -o 'ControlPath=/tmp/a b/%C'", "--delete", "--", "-a/", "host:b/"])
    }

    /// A large file is read for its checksum in silence, for longer than any limit that a silent connection may have.
    @Test func silenceHasNoLimit() {
        let words = RsyncCommand.words(over: ["ssh"], [], ["a", "host:b"])
        #expect(!words.contains { $0.hasPrefix("--timeout") })
    }
}
