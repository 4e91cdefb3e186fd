import Foundation
import TestSupport
import Testing

/// Runs that are placed by ssh, with a program of that name that runs what it is told on this machine.
@Suite(.serialized)
struct PlacedRunTests {
    /// Whether rsync, which does the copying, is on this machine.
    static let hasRsync = (try? shell("command -v rsync >/dev/null")) == 0

    /// Stands for ssh: takes its options, knows three machines, and does there what a login shell would do.
    private static let ssh = #"""
        #!/bin/sh
        while [ $# -gt 0 ]; do
            case $1 in
                -o | -F | -l | -p) shift 2 ;;
                -O) exit 0 ;;
                --) shift; break ;;
                -*) shift ;;
                *) break ;;
            esac
        done
        host=$1
        shift
        case $host in
            away) echo "ssh: connect to host away port 22: No route to host" >&2; exit 255 ;;
            one | two) ;;
            *) echo "ssh: Could not resolve hostname $host" >&2; exit 255 ;;
        esac
        # rsync names a machine without '--' behind the options, and leaves one there for the machine.
        [ "$1" != -- ] || shift
        cd "$HOME" || exit 255
        echo "Welcome to $host" >&2
        exec sh -c "$*"
        """#

    private static func prepare(_ folder: String) throws -> [String: String] {
        try TinyModel.writeRun(in: folder, steps: 1_000_000)
        for name in ["bin", "home"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try write(ssh, "\(folder)/bin/ssh")
        #expect(chmod("\(folder)/bin/ssh", 0o755) == 0)
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return ["PATH": "\(folder)/bin:\(path)", "HOME": "\(folder)/home"]
    }

    /// - Parameter others: lines of further hosts.
    private static func writeHosts(_ folder: String, port: Int, _ others: String) throws {
        try write(
            "learner: { address: 127.0.0.1, port: \(port) }\nhosts:\n  here: { scorers: 1 }\n\(others)",
            "\(folder)/hosts.yaml")
    }

    @Test(.enabled(if: hasRsync, "rsync is not installed"))
    func aRunIsPlacedGrowsShrinksAndEnds() async throws {
        try await withTemporaryFolder { folder in
            let environment = try Self.prepare(folder), port = try freePort()
            func opd(_ arguments: [String], _ status: Int32 = 0) async throws -> Binary.Output {
                let result = try await Binary.run(arguments, in: folder, environment: environment)
                #expect(result.status == status, "\(arguments): \(result.output)\(result.errors)")
                return result
            }
            let up = ["up", "hosts.yaml", "run.yaml"]
            try Self.writeHosts(
                folder, port: port, "  one: { folder: \"it's one\", workers: 1 }\n  away: { workers: 1 }\n")
            let first = try await opd(up, 1)
            // Where something fails, the rest of the test ends what was started.
            let failures = first.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(failures == ["error: away: ssh: connect to host away port 22: No route to host"])
            #expect(first.errors.contains("3 started, 0 run already"), "\(first.errors)")
            let place = "\(folder)/home/it's one"
            #expect(FileManager.default.isExecutableFile(atPath: "\(place)/bin/opd"))
            #expect(FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/endpoint"), "the learner is here")

            // Grows by a machine, and by a process on another; the rest is left alone.
            try Self.writeHosts(
                folder, port: port,
                "  one: { folder: \"it's one\", workers: 2 }\n  two: { folder: two, workers: 1, scorers: 1 }\n")
            let grown = try await opd(up)
            #expect(grown.errors.contains("3 started, 3 run already"), "\(grown.errors)")
            #expect(try await opd(up).errors.contains("0 started, 6 run already"))
            let list = try await opd(["ps"])
            #expect(list.lines.count { $0.contains(" running ") } == 6, "\(list.output)")
            #expect(list.output.contains("run tiny") && list.output.contains("step "), "\(list.output)")

            // A process that died is seen, and started again.
            let row = try #require(list.lines.first { $0.contains("rollout-two-0") })
            let pid = try #require(row.split(separator: " ").compactMap { pid_t($0) }.first)
            #expect(kill(pid, SIGKILL) == 0)
            while kill(pid, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
            #expect(try await opd(["ps", "runs/tiny"]).output.contains("ended 137"))
            #expect(try await opd(up).errors.contains("1 started, 5 run already"))

            // Shrinks, by a machine that is not in the file any more.
            try Self.writeHosts(folder, port: port, "  one: { folder: \"it's one\", workers: 1 }\n")
            let shrunk = try await opd(up)
            #expect(shrunk.errors.contains("two: ended") && shrunk.errors.contains("0 started, 3 run already"))
            #expect(try await opd(["ps"]).lines.count { $0.contains(" running ") } == 3)

            let down = try await opd(["down"])
            #expect(down.errorLines.last == "here: ended learner", "\(down.errors)")
            #expect(try await opd(["ps"]).lines.count { $0.contains(" running ") } == 0)
            #expect(try await opd(["down"]).errors.contains("nothing runs"))
            let checkpoint = try FileManager.default.destinationOfSymbolicLink(
                atPath: "\(folder)/runs/tiny/checkpoints/latest")
            let steps = try #require(Int(checkpoint.dropFirst("step-".count)))

            // Goes on, and comes to its end by itself.
            let on = try await opd(up + ["--watch", "--set", "training.steps=\(steps + 2)"])
            #expect(on.errors.contains("goes on from its last checkpoint") && on.errors.contains("come to its end"))
            #expect(try await opd(["ps"]).lines.count { $0.contains(" running ") } == 0)
            #expect(try await opd(up).errors.contains("come to its end"), "it is not begun again")
            _ = try await opd([
                "run", "run.yaml", "--set", "name=alone", "--set", "training.steps=\(steps + 2)", "--quiet",
            ])
            #expect(try ProcessRunTests.weights(folder) == ProcessRunTests.weights(folder, run: "alone"))
        }
    }

    @Test func whatCannotBeDoneIsOneLine() async throws {
        try await withTemporaryFolder { folder in
            let environment = try Self.prepare(folder)
            func refusal(_ arguments: [String], _ hosts: String, _ status: Int32) async throws -> String {
                try write(hosts, "\(folder)/hosts.yaml")
                let result = try await Binary.run(arguments, in: folder, environment: environment)
                let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
                #expect(result.status == status && errors.count == 1, "\(result.errors)")
                return errors.first ?? ""
            }
            let up = ["up", "hosts.yaml", "run.yaml"]
            #expect(
                try await refusal(up, "hosts: { '-x': { workers: 1 } }", 2).hasPrefix(
                    "error: hosts.yaml:1: hosts: expected"))
            #expect(
                try await refusal(up, "learner: { host: gone, address: a }\nhosts: { gone: { workers: 1 } }", 1)
                    .contains(
                        "gone"))
            #expect(try await refusal(["ps"], "", 2).contains("opd up"))
            #expect(try await refusal(["down", "runs/none"], "", 2).contains("was not placed"))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/runs/tiny"))
        }
    }
}
