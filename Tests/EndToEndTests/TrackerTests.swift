import Foundation
import JSON
import TestSupport
import Testing

/// Runs that tell their numbers to other tools, whose Python clients are made up here.
@Suite struct TrackerTests {
    /// A client of Weights & Biases that writes what it is told into a file; `FAKE_MODE` says what goes wrong.
    private static let client = """
        import json, os, time

        def write(kind, value):
            with open(os.environ["FAKE_FILE"], "a") as file:
                file.write(json.dumps({kind: value}) + "\\n")

        class Run:
            def define_metric(self, *names, **options): pass
            def log(self, values):
                if os.environ.get("FAKE_MODE") == "throws": raise RuntimeError("no such project")
                if os.environ.get("FAKE_MODE") == "dies": os.kill(os.getpid(), 9)
                if os.environ.get("FAKE_MODE") == "hangs": time.sleep(3600)
                write("log", values)
            def finish(self, exit_code): write("finish", exit_code)

        def init(**options):
            write("init", options)
            return Run()
        """

    private static func withClient(
        _ body: (_ folder: String, _ environment: [String: String]) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try FileManager.default.createDirectory(atPath: "\(folder)/clients", withIntermediateDirectories: true)
            try write(client, "\(folder)/clients/wandb.py")
            try await body(folder, ["PYTHONPATH": "\(folder)/clients", "FAKE_FILE": "\(folder)/told.jsonl"])
        }
    }

    private static func lines(_ path: String) throws -> [JSONValue] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try JSONValue.parse(String($0)) }
    }

    @Test func everyNumberOfTheRunIsTold() async throws {
        try await Self.withClient { folder, environment in
            let command = ["run", "run.yaml", "--set", "telemetry.wandb=sums"]
            let end = try await Binary.run(command, in: folder, environment: environment)
            #expect(end.status == 0, "\(end.errors)")
            let told = try Self.lines("\(folder)/told.jsonl")
            let begin = try #require(told.first?["init"])
            #expect(begin["project"]?.string == "sums" && begin["name"]?.string == "tiny")
            #expect(begin["config"]?["training.steps"]?.string == "4" && begin["config"]?["telemetry.wandb"] == "sums")
            #expect(told.last?["finish"] == 0)
            let logged = told.compactMap { $0["log"]?.object }
            let metrics = try Self.lines("\(folder)/runs/tiny/metrics.jsonl").compactMap(\.object)
            #expect(logged.count == metrics.count)
            for (log, line) in zip(logged, metrics) {
                // The section is the tool's own affair, and stands before the name.
                let numbers = log.members.map {
                    ($0.key.split(separator: "/").last.map(String.init) ?? "", $0.value.double)
                }
                let wanted = line.members.compactMap { member in member.value.double.map { (member.key, $0) } }
                #expect(numbers.map(\.0).sorted() == wanted.map(\.0).sorted())
                for (name, value) in wanted { #expect(numbers.first { $0.0 == name }?.1 == value, "\(name)") }
            }
            // A run that goes on is the same run there.
            let more = try await Binary.run(
                command + ["--set", "training.steps=6", "--resume"], in: folder, environment: environment)
            #expect(more.status == 0, "\(more.errors)")
            let begins = try Self.lines("\(folder)/told.jsonl").compactMap { $0["init"]?["id"]?.string }
            #expect(begins.count == 2 && begins[0] == begins[1])
        }
    }

    /// Whatever becomes of a client, the run comes to its end, and says once that something is amiss.
    @Test(arguments: ["throws", "dies"]) func aRunDoesWithoutItsTools(_ mode: String) async throws {
        try await Self.withClient { folder, environment in
            let end = try await Binary.run(
                ["run", "run.yaml", "--set", "telemetry.wandb=sums"], in: folder,
                environment: environment.merging(["FAKE_MODE": mode]) { $1 })
            #expect(end.status == 0, "\(end.errors)")
            let log = try String(contentsOfFile: "\(folder)/runs/tiny/logs/trackers.log", encoding: .utf8)
            switch mode {
            case "throws":
                #expect(log == "wandb: RuntimeError: no such project; it gets no more of this run\n")
            default: #expect(end.errorLines.count { $0.contains("wandb: the process for them was killed") } == 1)
            }
        }
    }

    /// A client that hangs holds nobody up who stops the run.
    @Test func aClientThatHangsIsLeftBehind() async throws {
        try await Self.withClient { folder, environment in
            let run = try Binary.Running(
                ["run", "run.yaml", "--set", "telemetry.wandb=sums", "--set", "training.steps=2000"], input: "",
                folder: folder, environment: environment.merging(["FAKE_MODE": "hangs"]) { $1 })
            let deadline = Date().addingTimeInterval(60)
            while Date() < deadline, try Self.steps(folder) < 4 { try await Task.sleep(for: .milliseconds(100)) }
            run.process.interrupt()
            let end = await run.finish(within: 60)
            #expect(end.status == 130, "\(end.errors)")
            #expect(end.errors.contains("wandb: not done 5 s after the run's end"), "\(end.errors)")
        }
    }

    private static func steps(_ folder: String) throws -> Int {
        let path = "\(folder)/runs/tiny/metrics.jsonl"
        guard FileManager.default.fileExists(atPath: path) else { return 0 }
        return try lines(path).count
    }

    @Test func aClientThatIsNotInstalledIsRefusedByName() async throws {
        try await Self.withClient { folder, environment in
            // A Python without packages of anyone's.
            try write("#!/bin/sh\nexec python3 -I -S \"$@\"\n", "\(folder)/bare")
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/bare")
            for (settings, words) in [
                (
                    ["telemetry.mlflow=sums", "telemetry.python=./bare"],
                    "telemetry.mlflow: the Python package mlflow is"
                ),
                (
                    ["telemetry.trackio=sums", "telemetry.python=/no/python"],
                    "telemetry.trackio: /no/python cannot be run"
                ),
            ] {
                let end = try await Binary.run(
                    ["run", "run.yaml"] + settings.flatMap { ["--set", $0] }, in: folder, environment: environment)
                #expect(end.status == 2 && end.errors.contains(words), "\(end.errors)")
            }
        }
    }
}
