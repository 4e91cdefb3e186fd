import Foundation
import Models
import TestSupport
import Testing

/// Whole runs of tiny models by real processes, undisturbed and disturbed.
@Suite(.serialized) struct ProcessRunTests {
    /// There are so many that a run is not over when a test disturbs it.
    static let steps = 20

    /// The lines of metrics.jsonl without what depends on the clock.
    static func metrics(_ folder: String, run: String = "tiny") throws -> [[String: String]] {
        try String(contentsOfFile: "\(folder)/runs/\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
            line in
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            return try object.filter { !$0.key.hasSuffix("_per_second") && !$0.key.hasSuffix("_s") }.mapValues {
                value in
                guard value is [String: Any] else { return "\(value)" }
                // A dictionary says its members in any order.
                let data = try JSONSerialization.data(withJSONObject: value, options: .sortedKeys)
                return String(decoding: data, as: UTF8.self)
            }
        }
    }

    static func weights(_ folder: String, run: String = "tiny") throws -> Data {
        try Data(contentsOf: URL(filePath: "\(folder)/runs/\(run)/checkpoints/latest/model/model.safetensors"))
    }

    /// What a run without any disturbance gives.
    static let reference = Task {
        () async throws -> (metrics: [[String: String]], weights: Data, output: String) in
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: steps)
            let result = try await Binary.run(["run", "run.yaml"], in: folder)
            try #require(result.status == 0, "\(result.errors)")
            return (try metrics(folder), try weights(folder), result.output + result.errors)
        }
    }

    @Test func aRunTrainsEvaluatesAndSumsUp() async throws {
        let reference = try await Self.reference.value
        #expect(reference.metrics.map { $0["step"] } == (0...Self.steps).map { "\($0)" })
        for line in reference.metrics.dropFirst() {
            #expect(line["ratio_mean"] == "1.0" && line["ratio_max"] == "1.0" && line["staleness_max"] == "0")
            let tokens = ["generated", "trained", "discarded", "in_flight"].map {
                Int(line["tokens_\($0)"] ?? "") ?? -1
            }
            #expect(tokens[0] == tokens[1] + tokens[2] + tokens[3])
        }
        #expect(
            reference.metrics.filter { $0["eval_teacher_kl"] != nil }.map { $0["step"] }
                == (0...Self.steps / 2).map { "\(2 * $0)" })
        let kl = reference.metrics.compactMap { $0["eval_teacher_kl"].flatMap(Double.init) }
        #expect(kl.count == Self.steps / 2 + 1 && Set(kl).count == kl.count && kl.allSatisfy(\.isFinite))
        for text in ["held-out KL to the teacher", "before", "after", "teacher", "generate runs/tiny"] {
            #expect(reference.output.contains(text), "\(reference.output)")
        }
        #expect(reference.output.contains("step \(Self.steps)/\(Self.steps)"))
    }

    @Test func moreWorkersAndScorersChangeNothing() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let result = try await Binary.run(["run", "run.yaml", "--workers", "2", "--scorers", "2"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
        }
    }

    /// Whatever is measured here: numbers of processes and of threads change nothing but the time.
    @Test func numbersThatAreFoundChangeNothing() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let found = ["run", "run.yaml", "--workers", "auto", "--scorers", "auto", "--set", "pipeline.threads=0"]
            let result = try await Binary.run(found, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let lines = result.errorLines.prefix(5)
            try #require(lines.count == 5)
            #expect(lines[0].hasPrefix("sampling a step takes "), "\(lines)")
            #expect(lines[3].hasPrefix("chosen for ") && lines[4].hasPrefix("a step takes about "), "\(lines)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
            for (more, message) in [
                (["--again", "--set", "pipeline.threads=1"], "leave pipeline.threads at 0"),
                ([], "exists; continue it"),
            ] {
                let refused = try await Binary.run(found + more, in: folder)
                #expect(refused.status == 2 && refused.errors.contains(message), "\(refused.errors)")
                #expect(refused.errorLines.count == 1)
            }
        }
    }

    @Test func theResultIsAModelThatAnswers() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 2)
            #expect(try await Binary.run(["run", "run.yaml", "--quiet"], in: folder).status == 0)
            let model = "runs/tiny/checkpoints/latest/model"
            let answer = try await Binary.run(
                ["generate", model, "--chat", "Hi", "--max-tokens", "4", "--json"], in: folder)
            #expect(answer.status == 0, "\(answer.errors)")
            let inspected = try await Binary.run(["inspect", "runs/tiny"], in: folder)
            #expect(inspected.output.contains("2 of 2"), "\(inspected.output)")
            #expect(
                try await Binary.run(["inspect", "runs/tiny/checkpoints/latest"], in: folder).output.contains(
                    "2 layers"))
        }
    }

    @Test func aTeacherWithAnotherTokenizerIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try TinyModel.write(to: "\(folder)/other", seed: 1, tokenizer: "bpe-llama3")
            let result = try await Binary.run(["run", "run.yaml", "--set", "teachers.default.model=other"], in: folder)
            #expect(result.status == 2)
            let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(errors.count == 1 && errors[0].contains("tokenizer"), "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/metrics.jsonl"))
        }
    }

    @Test(arguments: ["rollout", "scorer"])
    func anAbsentLearnerIsGivenUp(role: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let result = try await Binary.run(
                [role, "run.yaml", "--connect", "tcp://127.0.0.1:9", "--set", "pipeline.connect_timeout_s=1"],
                in: folder)
            #expect(result.status == 1)
            let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(errors.count == 1 && errors[0].contains("learner"), "\(result.errors)")
        }
    }

    /// With other numbers of workers and scorers the values stay; with what makes another run it is refused, and forked.
    @Test func aRunGoesOnWithMoreProcessesOrAsAnother() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let run = try Binary.Running(
                ["run", "run.yaml", "--workers", "2"], input: "", folder: folder, environment: [:])
            try await Self.waitForStep(2, folder, run)
            kill(run.process.processIdentifier, SIGINT)
            #expect(await run.finish(within: 180).status == 130)
            let rate = ["--set", "training.learning_rate=0.001"]
            let refused = try await Binary.run(["run", "run.yaml", "--resume"] + rate, in: folder)
            #expect(refused.status == 2)
            let errors = refused.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(errors.first?.contains("training.learning_rate is 0.001 now and was 0.01") == true, "\(errors)")
            let fork = ["run", "run.yaml", "--set", "name=fork", "--from", "runs/tiny"]
            let seed = try await Binary.run(fork + ["--set", "seed=5"], in: folder)
            #expect(seed.status == 2 && seed.errors.contains("seed is 5 now and was 1"), "\(seed.errors)")
            let forked = try await Binary.run(fork + rate, in: folder)
            #expect(forked.status == 0, "\(forked.errors)")
            let lines = try Self.metrics(folder, run: "fork")
            #expect(lines.last?["step"] == "\(Self.steps)" && lines.allSatisfy { $0["lr"] == "0.001" })
            #expect(try Self.weights(folder, run: "fork") != reference.weights)
            let resumed = try await Binary.run(
                ["run", "run.yaml", "--resume", "--workers", "1", "--scorers", "3"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
            let other = try await Binary.run(["run", "run.yaml", "--set", "name=x", "--from", "teacher"], in: folder)
            #expect(
                other.status == 2 && other.errors.contains("--from teacher: neither a checkpoint"), "\(other.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/runs/x"))
        }
    }

    @Test func aLiveRunShowsItsStatus() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1_000_000)
            let nobody = try await Binary.run(["status", "tcp://127.0.0.1:9", "--timeout", "0.2"], in: folder)
            #expect(nobody.status == 1 && nobody.errorLines.count == 1, "\(nobody.errors)")
            #expect(nobody.errors.hasPrefix("error: no learner has answered at tcp://127.0.0.1:9"))
            let nothing = try await Binary.run(["status", "runs/tiny"], in: folder)
            #expect(nothing.status == 2 && nothing.errors.contains("runs/tiny is neither an endpoint"))
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            try await Self.waitForStep(1, folder, run)
            let text = try await Binary.run(["status", "runs/tiny"], in: folder)
            #expect(text.status == 0, "\(text.errors)")
            #expect(text.output.contains("rollout-0  ") && text.output.contains("scorer of default"), "\(text.output)")
            let json = try await Binary.run(["status", "runs/tiny", "--json"], in: folder)
            let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
            #expect(object?["steps"] as? Int == 1_000_000 && (object?["members"] as? [Any])?.count == 2)
            kill(run.process.processIdentifier, SIGINT)
            #expect(await run.finish(within: 180).status == 130)
        }
    }

    @Test func aPortInUseIsNamed() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let first = try Binary.Running(
                ["learner", "run.yaml"], input: "", folder: folder, environment: [:])
            defer { kill(first.process.processIdentifier, SIGKILL) }
            let file = "\(folder)/runs/tiny/endpoint"
            let deadline = Date().addingTimeInterval(30)
            while !FileManager.default.fileExists(atPath: file), Date() < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
            let endpoint = try String(contentsOfFile: file, encoding: .utf8).filter { $0 != "\n" }
            let second = try await Binary.run(
                ["learner", "run.yaml", "--bind", endpoint, "--set", "name=other"], in: folder, within: 180)
            #expect(second.status == 1)
            let errors = second.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(errors.count == 1 && errors[0].contains(endpoint), "\(second.errors)")
        }
    }

    @Test func plaintextBeyondLoopbackMustBeAskedFor() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            for arguments in [
                ["learner", "run.yaml", "--bind", "tcp://0.0.0.0:*"],
                ["rollout", "run.yaml", "--connect", "tcp://192.0.2.1:7177"],
            ] {
                let result = try await Binary.run(arguments, in: folder)
                #expect(result.status == 2)
                let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
                #expect(errors.count == 1 && errors[0].contains("pipeline.allow_plaintext"), "\(result.errors)")
            }
        }
    }

    @Test(.enabled(if: getuid() == 0 && FileManager.default.fileExists(atPath: "/usr/sbin/ip")))
    func aRunAcrossNetworkNamespacesGivesTheSame() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let script =
                URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().path + "/cluster/netns"
            let process = Process()
            process.executableURL = URL(filePath: "/bin/bash")
            process.currentDirectoryURL = URL(filePath: folder)
            process.arguments = [script, Binary.path, "run.yaml"]
            try process.run()
            while process.isRunning { try await Task.sleep(for: .milliseconds(20)) }
            #expect(process.terminationStatus == 0)
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
        }
    }

    // MARK: processes

    static func waitForStep(
        _ step: Int, _ folder: String, _ run: Binary.Running, name: String = "tiny"
    ) async throws {
        let deadline = Date().addingTimeInterval(60)
        var isOver = false
        while Date() < deadline, !isOver {
            // Asked before the file is read: a run may end between the two, and have reached the step.
            isOver = !run.process.isRunning
            let text = (try? String(contentsOfFile: "\(folder)/runs/\(name)/metrics.jsonl", encoding: .utf8)) ?? ""
            if text.contains("{\"step\": \(step),") { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("step \(step) was not reached: \(run.errors)")
    }

    /// Process ids of the children of `parent` that run this subcommand.
    static func children(of parent: Int32, running subcommand: String) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { process in
            guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
                status.contains("PPid:\t\(parent)\n"),
                let line = FileManager.default.contents(atPath: "/proc/\(process)/cmdline")
            else { return false }
            return line.split(separator: 0).dropFirst().first.map { String(decoding: $0, as: UTF8.self) } == subcommand
        }
    }
}
