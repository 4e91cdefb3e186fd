import Foundation
import TestSupport
import Testing

/// What befalls runs that is no death of a process: each costs what docs/reliability.md says, and is one line.
@Suite(.serialized) struct RunMishapTests {
    @Test(.enabled(if: getuid() == 0, "mounting needs root"), arguments: ["run", "learner"])
    func aFullDiskAtTheStartIsOneLine(command: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 2)
            let runs = "\(folder)/runs"
            try FileManager.default.createDirectory(atPath: runs, withIntermediateDirectories: true)
            guard mount("tmpfs", runs, "tmpfs", 0, "size=64k") == 0 else { return }
            defer { umount2(runs, Int32(MNT_DETACH)) }
            let filler = open("\(runs)/filler", O_WRONLY | O_CREAT, 0o600)
            let zeros = [UInt8](repeating: 0, count: 1 << 20)
            while Foundation.write(filler, zeros, zeros.count) > 0 {}
            close(filler)
            let result = try await Binary.run([command, "run.yaml"], in: folder)
            #expect(result.status == 1, "\(result.errors)")
            let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(errors.count == 1 && errors[0].contains("No space left on device"), "\(result.errors)")
        }
    }

    /// Models without numbers end a run by the rule for bad steps, with what they gave for a look, and no process dies
    /// of it.
    @Test(arguments: ["teacher", "student"], ["skip", "stop"])
    func aModelWithoutNumbersEndsTheRunAsConfigured(model: String, reaction: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 8)
            try FileManager.default.removeItem(atPath: "\(folder)/\(model)")
            try TinyModel.write(to: "\(folder)/\(model)", seed: 3, isBroken: true)
            let result = try await Binary.run(
                ["run", "run.yaml", "--set", "training.on_bad_step=\(reaction)"], in: folder)
            #expect(result.status == 1, "\(result.errors)")
            let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
            let what =
                model == "teacher"
                ? "4 of 4 trajectories have grades that are not finite, the first of teacher 'default'"
                : "the student's own log-probabilities of 4 of 4 trajectories are not finite"
            let step = reaction == "stop" ? "step 1: " : "step 3, the last of 3 bad steps in a row: "
            #expect(errors.count == 1 && errors[0].contains(step + what), "\(result.errors)")
            #expect(!result.errors.contains("starting it again"), "\(result.errors)")
            let suspects = try String(contentsOfFile: "\(folder)/runs/tiny/suspects.jsonl", encoding: .utf8)
            #expect(suspects.contains(what) && suspects.contains("\"step\": \(reaction == "stop" ? 1 : 3),"))
            // A student that is good is worth a checkpoint, whatever its teacher says.
            let isSaved = FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/checkpoints/latest")
            #expect(isSaved == (model == "teacher" && reaction == "skip"))
        }
    }

    @Test(.enabled(if: Preload.compiler != nil, "there is no C compiler"))
    func aWallClockThatIsSetChangesNothing() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 8)
            let reference = try await Binary.run(["run", "run.yaml", "--set", "name=reference"], in: folder)
            try #require(reference.status == 0, "\(reference.errors)")
            let clock = try WallClock(in: folder)
            let year = 365 * 86400
            try clock.move(40 * year)
            let run = try Binary.Running(
                ["run", "run.yaml"], input: "", folder: folder, environment: clock.environment)
            // The first line of the log, at the latest, has the other time.
            let logPath = "\(folder)/runs/tiny/logs/learner.log"
            while run.process.isRunning, (try? String(contentsOfFile: logPath, encoding: .utf8))?.isEmpty ?? true {
                try await Task.sleep(for: .milliseconds(5))
            }
            // It goes back and forth for as long as the run lasts, by more than any time-out.
            while run.process.isRunning {
                for years in [-30, 0, 2, 40] {
                    try await Task.sleep(for: .milliseconds(50))
                    try clock.move(years * year)
                }
            }
            let result = await run.finish(within: 180)
            #expect(result.status == 0, "\(result.errors)")
            #expect(
                !result.errors.contains("silent") && !result.errors.contains("starting it again"), "\(result.errors)")
            #expect(try ProcessRunTests.metrics(folder) == ProcessRunTests.metrics(folder, run: "reference"))
            #expect(try ProcessRunTests.weights(folder) == ProcessRunTests.weights(folder, run: "reference"))
            let log = try String(contentsOfFile: logPath, encoding: .utf8)
            let then = Calendar(identifier: .gregorian).component(
                .year, from: Date(timeIntervalSinceNow: 40.0 * 31_536_000))
            #expect(log.contains("\(then)-"), "the clock was another: \(log)")
        }
    }

    /// Nobody will ever be heard again: the learner ends, with all that it has done on disk.
    @Test(.enabled(if: Preload.compiler != nil, "there is no C compiler"))
    func aSocketThatFailsEndsTheLearnerWithACheckpoint() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1_000_000)
            // Once the file is there, libzmq cannot tell what of a socket is ready (option 15) in the processes that this
            // is preloaded into.
            let source = """
                #define _GNU_SOURCE
                #include <dlfcn.h>
                #include <errno.h>
                #include <stdlib.h>
                #include <unistd.h>
                int zmq_getsockopt(void *socket, int option, void *value, size_t *size) {
                    static int (*real)(void *, int, void *, size_t *);
                    if (!real) real = (int (*)(void *, int, void *, size_t *))dlsym(RTLD_NEXT, "zmq_getsockopt");
                    if (option != 15 || access(getenv("BROKEN_SOCKET_FILE"), F_OK) != 0)
                        return real(socket, option, value, size);
                    errno = EFAULT;
                    return -1;
                }
                """
            try write(source, "\(folder)/broken.c")
            let library = try Preload.build("\(folder)/broken.c", in: folder)
            let options = ["run.yaml", "--set", "checkpoint.every=0", "--set", "evaluation.every=0"]
            let learner = try Binary.Running(
                ["learner"] + options, input: "", folder: folder,
                environment: ["LD_PRELOAD": library, "BROKEN_SOCKET_FILE": "\(folder)/broken"])
            let endpoint = try await Self.text(of: "\(folder)/runs/tiny/endpoint", while: learner) { !$0.isEmpty }
            let members = try ["rollout", "scorer"].map {
                try Binary.Running(
                    [$0, "run.yaml", "--connect", endpoint.filter { $0 != "\n" }], input: "", folder: folder,
                    environment: [:])
            }
            defer { for member in members { kill(member.process.processIdentifier, SIGKILL) } }
            let metrics = "\(folder)/runs/tiny/metrics.jsonl"
            _ = try await Self.text(of: metrics, while: learner) { $0.contains("{\"step\": 2,") }
            try write("", "\(folder)/broken")
            let result = await learner.finish(within: 180)
            #expect(result.status == 1, "\(result.errors)")
            let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(result.errors.contains("the transport stopped: reading the socket's events: "), "\(result.errors)")
            #expect(errors == ["error: the learner's socket has failed; go on with --resume"], "\(result.errors)")
            let inspected = try await Binary.run(["inspect", "runs/tiny/checkpoints/latest"], in: folder)
            #expect(inspected.status == 0 && inspected.output.contains("yes"), "\(inspected.errors)")
        }
    }

    /// The text of a file that another process writes, once `isThere` holds of it.
    private static func text(
        of path: String, while process: Binary.Running, _ isThere: (String) -> Bool
    ) async throws -> String {
        let deadline = Date().addingTimeInterval(90)
        while true {
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            if isThere(text) { return text }
            try #require(process.process.isRunning && Date() < deadline, "\(process.errors)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
