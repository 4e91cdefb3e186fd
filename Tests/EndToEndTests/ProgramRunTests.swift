import Foundation
import TestSupport
import Testing

/// Runs whose environment is a program, by the commands.
@Suite(.serialized) struct ProgramRunTests {
    /// Done where a turn has an even number of letters; else it says how many there were.
    private static let world = """
        import json, os, sys

        sys.stderr.write("a world begins\\n")
        worth = {}
        for line in sys.stdin:
            message = json.loads(line)
            episode = message["episode"]
            answer = {"episode": episode}
            if message["type"] == "reset":
                assert message["prompt"]["messages"][-1]["content"] == message["prompt"]["prompt"]
                worth[episode] = message["seed"] % 5 / 10
            elif message["type"] == "step":
                if os.path.exists("die") and message["turn"] == 2:
                    os.remove("die")
                    sys.exit(1)
                if len(message["text"]) % 2 == 0:
                    answer |= {"done": True, "reward": worth.pop(episode) + 0.1 * message["turn"]}
                else:
                    answer["observation"] = f"{len(message['text'])} letters\\n"
            else:
                del worth[episode]
            print(json.dumps(answer), flush=True)
        """
    private static let episodes = [
        "data.environment.command=[python3, world.py]", "data.environment.slots=2", "data.environment.max_turns=3",
        "data.environment.max_turn_tokens=12", "sampling.max_tokens=90", "sampling.stop=[a, e, i, o, s, t, n]",
    ]

    private func write(in folder: String, steps: Int = 4, world: String = Self.world) throws {
        try TinyModel.writeRun(in: folder, steps: steps)
        try EndToEndTests.write(world, "\(folder)/world.py")
    }

    private func run(
        _ name: String, _ settings: [String] = [], _ flags: [String] = [], in folder: String
    ) async throws -> Binary.Output {
        try await Binary.run(Binary.runWords(name, Self.episodes + settings, flags), in: folder)
    }

    /// Processes that run the world of this folder.
    private func worlds(_ folder: String) -> [String] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.filter { pid in
            Int(pid) != nil
                && (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")) == folder
                && (try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8))?.contains("world.py") == true
        }
    }

    /// Whoever works, whether it was interrupted, and whether a program died: the same to the last bit.
    @Test func programsAreReproducible() async throws {
        try await withTemporaryFolder { folder in
            try write(in: folder)
            let one = try await run("one", in: folder)
            try #require(one.status == 0, "\(one.errors)")
            let two = try await run(
                "two", ["pipeline.workers=2", "pipeline.scorers=2", "data.environment.slots=1"], in: folder)
            try #require(two.status == 0, "\(two.errors)")
            let begun = try await run("parts", ["training.steps=2"], in: folder)
            try #require(begun.status == 0, "\(begun.errors)")
            try EndToEndTests.write("", "\(folder)/die")
            let resumed = try await run("parts", ["data.environment.slots=3"], ["--resume"], in: folder)
            try #require(resumed.status == 0, "\(resumed.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/die"))
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(metrics.count == 5 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            #expect(metrics.dropFirst().allSatisfy { $0["reward_mean"] != nil && $0["reward_mean"] != "null" })
            let weights = try ProcessRunTests.weights(folder, run: "one")
            for name in ["two", "parts"] {
                #expect(try ProcessRunTests.weights(folder, run: name) == weights)
                #expect(try ProcessRunTests.metrics(folder, run: name) == metrics)
            }
            let samples = try String(contentsOfFile: "\(folder)/runs/one/samples.jsonl", encoding: .utf8)
            #expect(samples.contains(" letters") && samples.contains("\"environment\": [["))
            let log = try String(contentsOfFile: "\(folder)/runs/one/logs/environment-rollout-0.log", encoding: .utf8)
            #expect(log.contains("a world begins"))
            let mishap = try String(contentsOfFile: "\(folder)/runs/parts/logs/rollout-0.log", encoding: .utf8)
            #expect(mishap.contains("ended with exit status 1") && mishap.contains("its episodes are played again"))
            #expect(worlds(folder).isEmpty)
        }
    }

    /// The configuration in Examples, a few steps of it.
    @Test func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            let settings = ["data.prompts_per_step=4", "evaluation.every=2", "data.heldout_count=4"]
            let (metrics, _) = try await ExampleRun.run("arithmetic-program", steps: 2, settings, in: folder)
            #expect(metrics.count >= 2 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            // Held-out prompts are played, too.
            #expect(metrics.last?["eval_pass_at_1"] != nil && metrics.last?["eval_responses"] == "4")
            let samples = try String(contentsOfFile: "\(folder)/runs/short/samples.jsonl", encoding: .utf8)
            #expect(samples.contains(" is too low") || samples.contains(" is too high"))
        }
    }

    @Test func whatDoesNotWorkIsRefusedAtOnce() async throws {
        try await withTemporaryFolder { folder in
            try write(in: folder, world: "import sys\nprint('no world here', file=sys.stderr)\nsys.exit(4)\n")
            for flags in [[], ["--dry-run"]] {
                let result = try await run("off", [], flags, in: folder)
                #expect(result.status == 2)
                #expect(
                    result.errors.contains(
                        "data.environment.command: 'python3 world.py' ended with exit status 4; its last words: no world here"
                    ),
                    "\(result.errors)")
            }
            let missing = try await run("off", ["data.environment.command=[./no-world]"], in: folder)
            #expect(missing.status == 2 && missing.errors.contains("'./no-world' could not be started"))
        }
    }

    /// A program that fails again and again ends its worker, which names it.
    @Test func aProgramThatFailsEndsItsWorker() async throws {
        try await withTemporaryFolder { folder in
            let world = """
                import json, sys
                for line in sys.stdin:
                    message = json.loads(line)
                    if message["type"] == "step": raise ValueError("a broken world")
                    print(json.dumps({"episode": message["episode"]}), flush=True)
                """
            try write(in: folder, world: world)
            let run = try Binary.Running(
                ["run", "run.yaml"] + Self.episodes.flatMap { ["--set", $0] }, input: "", folder: folder,
                environment: [:])
            let deadline = Date().addingTimeInterval(200)
            while !run.errors.contains("times in a row"), run.process.isRunning, Date() < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
            // It would start the worker again, some times.
            kill(run.process.processIdentifier, SIGTERM)
            let result = await run.finish(within: 100)
            let line = result.errorLines.first { $0.contains("times in a row") } ?? ""
            #expect(
                line.contains("the environment's program 'python3 world.py' failed 5 times in a row"),
                "\(result.errors)")
            #expect(line.contains("its last words: ValueError: a broken world"), "\(result.errors)")
            #expect(worlds(folder).isEmpty)
        }
    }

    /// A worker that is killed leaves no program behind, and the run goes on as if nothing had been.
    @Test func aKilledWorkerLeavesNoProgram() async throws {
        try await withTemporaryFolder { folder in
            try write(in: folder)
            let whole = try await run("whole", in: folder)
            try #require(whole.status == 0, "\(whole.errors)")
            // The first world kills the worker that started it, and would go on itself.
            let killer = Self.world.replacing(
                "if len(message",
                with: """
                    if not os.path.exists("killed"):
                        open("killed", "w").write(str(os.getpid()))
                        os.kill(os.getppid(), 9)
                        import time
                        time.sleep(600)
                    if len(message
                    """.replacing("\n", with: "\n        "))
            try EndToEndTests.write(killer, "\(folder)/world.py")
            let killed = try await run("killed", in: folder)
            try #require(killed.status == 0, "\(killed.errors)")
            #expect(killed.errors.contains("was killed by signal 9"), "\(killed.errors)")
            let pid = try String(contentsOfFile: "\(folder)/killed", encoding: .utf8)
            #expect(!FileManager.default.fileExists(atPath: "/proc/\(pid)/cmdline") || !worlds(folder).contains(pid))
            #expect(worlds(folder).isEmpty)
            #expect(try ProcessRunTests.metrics(folder, run: "killed") == ProcessRunTests.metrics(folder, run: "whole"))
        }
    }
}
