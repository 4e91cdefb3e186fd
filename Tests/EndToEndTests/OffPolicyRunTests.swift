import Foundation
import TestSupport
import Testing

/// Runs by real processes whose teacher samples and whose student imitates.
@Suite(.serialized) struct OffPolicyCommandTests {
    /// There are so many that a run is not over when a test disturbs it.
    static let steps = 80

    private static func writeRun(_ folder: String, steps: Int = steps) throws {
        try TinyModel.writeRun(in: folder, steps: steps)
        let configuration = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8)
        try write(configuration + "\nobjective: { kind: off_policy }\n", "\(folder)/run.yaml")
    }

    private static let reference = Task {
        () async throws -> (metrics: [[String: String]], weights: Data, output: String, samples: String) in
        try await withTemporaryFolder { folder in
            try writeRun(folder)
            let result = try await Binary.run(["run", "run.yaml"], in: folder)
            try #require(result.status == 0, "\(result.errors)")
            let logs = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/runs/tiny/logs")
            #expect(logs.sorted() == ["learner.log", "rollout-default-0.log", "run.log"])
            return (
                try ProcessRunTests.metrics(folder), try ProcessRunTests.weights(folder), result.output + result.errors,
                try String(contentsOfFile: "\(folder)/runs/tiny/samples.jsonl", encoding: .utf8)
            )
        }
    }

    private func expectReference(_ folder: String) async throws {
        let reference = try await Self.reference.value
        #expect(try ProcessRunTests.metrics(folder) == reference.metrics)
        #expect(try ProcessRunTests.weights(folder) == reference.weights)
    }

    @Test func aRunImitatesEvaluatesAndSumsUp() async throws {
        let reference = try await Self.reference.value
        #expect(reference.metrics.map { $0["step"] } == (0...Self.steps).map { "\($0)" })
        let losses = reference.metrics.compactMap { $0["loss"].flatMap(Double.init) }
        #expect(losses.count == Self.steps && Set(losses).count == Self.steps && losses.allSatisfy(\.isFinite))
        for line in reference.metrics {
            #expect(line["tokens_generated"] == line["tokens_trained"] && line["tokens_in_flight"] == "0")
            #expect(line["step"] == "0" || Double(line["scoring_flops"] ?? "") == 0, "\(line)")
        }
        let last = try #require(reference.metrics.last)
        #expect(Double(last["sampling_flops"] ?? "") ?? 0 > 0 && Double(last["training_flops"] ?? "") ?? 0 > 0)
        #expect(
            reference.metrics.filter { $0["eval_responses"] == "2" }.map { $0["step"] }
                == (0...Self.steps / 2).map { "\(2 * $0)" })
        for text in ["loss", "before", "after", "teacher", "generate runs/tiny"] {
            #expect(reference.output.contains(text), "\(reference.output)")
        }
        let samples = try reference.samples.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        for sample in samples {
            let isTraining = sample["kind"] as? String == "train"
            #expect(sample["teacher"] as? String == (isTraining ? "default" : ""))
            let count = (sample["ids"] as? [Any])?.count
            #expect((sample["teacher_logprobs"] as? [Any])?.count == (isTraining ? count : 0))
            #expect((sample["student_logprobs"] as? [Any])?.count == (isTraining ? 0 : count))
        }
    }

    @Test func moreWorkersChangeNothing() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(folder)
            let result = try await Binary.run(["run", "run.yaml", "--workers", "2"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            try await expectReference(folder)
        }
    }

    @Test func killedWorkersCostOnlyTime() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(folder)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            var killed = 0
            for step in [0, 2] {
                try await ProcessRunTests.waitForStep(step, folder, run)
                for process in ProcessRunTests.children(of: run.process.processIdentifier, running: "rollout") {
                    kill(process, SIGKILL)
                    killed += 1
                }
            }
            let result = await run.finish(within: 180)
            #expect(result.status == 0 && killed > 0, "\(result.errors)")
            try await expectReference(folder)
        }
    }

    /// Stopped by Ctrl-C and resumed with more workers; then killed and resumed again.
    @Test func anInterruptedRunIsResumed() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(folder)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            try await ProcessRunTests.waitForStep(1, folder, run)
            kill(run.process.processIdentifier, SIGINT)
            let stopped = await run.finish(within: 180)
            #expect(stopped.status == 130, "\(stopped.errors)")
            let steps = try ProcessRunTests.metrics(folder).count - 1
            let again = try Binary.Running(
                ["run", "run.yaml", "--resume", "--workers", "2"], input: "", folder: folder, environment: [:])
            try await ProcessRunTests.waitForStep(steps + 2, folder, again)
            for process in ProcessRunTests.children(of: again.process.processIdentifier, running: "learner") {
                kill(process, SIGKILL)
            }
            #expect(await again.finish(within: 180).status == 1)
            let resumed = try await Binary.run(["run", "run.yaml", "--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            try await expectReference(folder)
        }
    }

    /// What the teacher was taught, the student learns from its responses.
    @Test func theStudentLearnsWhatTheTeacherKnows() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/ignorant", seed: 1)
            try TinyModel.write(to: "\(folder)/student", seed: 2)
            try write(
                """
                {"prompt": "Name a river.", "response": "The Elbe.", "answer": "The Elbe.", "verifier": "exact"}
                {"prompt": "Name a lake.", "response": "Lake Geneva.", "answer": "Lake Geneva.", "verifier": "exact"}

                """, "\(folder)/examples.jsonl")
            let data = "data: { prompts: examples.jsonl, heldout: examples.jsonl, prompts_per_step: 2 }"
            try write(
                """
                name: tiny
                student: { model: ignorant, dtype: f32 }
                objective: { kind: supervised }
                \(data)
                training: { steps: 60, learning_rate: 1.0e-2 }
                evaluation: { every: 0 }

                """, "\(folder)/teach.yaml")
            let taught = try await Binary.run(["run", "teach.yaml"], in: folder)
            #expect(taught.status == 0, "\(taught.errors)")
            try write(
                """
                name: learn
                student: { model: student, dtype: f32 }
                teachers: { default: { model: runs/tiny/checkpoints/latest/model, dtype: f32 } }
                objective: { kind: off_policy }
                \(data)
                sampling: { max_tokens: 24, temperature: 0.01 }
                training: { steps: 60, learning_rate: 1.0e-2 }
                pipeline: { threads: 1, heartbeat_s: 0.2 }
                evaluation: { every: 60, stop_at_pass_rate: 1 }

                """, "\(folder)/learn.yaml")
            let learnt = try await Binary.run(["run", "learn.yaml"], in: folder)
            #expect(learnt.status == 0, "\(learnt.errors)")
            let metrics = try ProcessRunTests.metrics(folder, run: "learn")
            #expect(metrics.first?["eval_pass_at_1"] == "0.0" && metrics.last?["eval_pass_at_1"] == "1.0")
            // The rate is that of the teacher's own responses.
            #expect(metrics.dropFirst().allSatisfy { $0["pass_rate"] == "1.0" })
            for text in ["held-out problems right", "ended here: pass@1 1.0 has reached 1.0"] {
                #expect(learnt.output.contains(text), "\(learnt.output)")
            }
        }
    }

    /// Fine-tuning on samples of a fixed copy of itself.
    @Test func theTeacherMayBeTheStudentsOwnFolder() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(folder, steps: 2)
            let result = try await Binary.run(
                ["run", "run.yaml", "--set", "teachers.default.model=student"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let metrics = try ProcessRunTests.metrics(folder)
            // Its own responses at temperature 1: the cross-entropy is near the entropy.
            let loss = try #require(metrics[1]["loss"].flatMap(Double.init))
            let entropy = try #require(metrics[1]["entropy"].flatMap(Double.init))
            #expect(abs(loss - entropy) < 0.5, "\(loss) \(entropy)")
        }
    }

    @Test(arguments: [
        (["run", "bare.yaml"], "teachers: missing; name at least one teacher"),
        (["run", "run.yaml", "--set", "teachers.default.model=other"], "has another tokenizer than the student"),
        (["run", "run.yaml", "--set", "teachers.second.model=teacher"], "names no teacher and none is called"),
        (
            ["rollout", "run.yaml", "--connect", "tcp://127.0.0.1:9", "--teacher", "nobody"],
            "the configuration has no teacher 'nobody'; it has: default"
        ),
        (
            [
                "rollout", "run.yaml", "--connect", "tcp://127.0.0.1:9", "--teacher", "default", "--set",
                "objective.kind=distillation",
            ], "--teacher: with objective.kind distillation rollout workers hold the student; leave it out"
        ),
        (
            ["run", "run.yaml", "--set", "data.prompts=long.jsonl", "--set", "data.overlong=refuse"],
            "for which the context of 256 has no room; shorten it, or set data.overlong to drop or truncate"
        ),
        (
            ["run", "run.yaml", "--set", "data.prompts=long.jsonl"],
            "long.jsonl: none of its 1 prompts fits into the context of 256, the longest with"
        ),
    ])
    func whatCannotBeIsSaid(arguments: [String], message: String) async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(folder)
            try TinyModel.write(to: "\(folder)/other", seed: 1, tokenizer: "bpe-llama3")
            let text = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8)
            try write(
                text.replacingOccurrences(of: "teachers: { default: { model: teacher, dtype: f32 } }\n", with: ""),
                "\(folder)/bare.yaml")
            let long = String(repeating: "0 1 2 3 ", count: 100)
            try write("{\"prompt\": \"\(long)\", \"teacher\": \"default\"}\n", "\(folder)/long.jsonl")
            if message.hasPrefix("names no teacher") {
                try write(text.replacingOccurrences(of: "default:", with: "first:"), "\(folder)/run.yaml")
            }
            let result = try await Binary.run(arguments, in: folder)
            #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
        }
    }

    /// A worker that was started with another idea of the run is turned away, and the run goes on.
    @Test func aWorkerWithTheStudentIsTurnedAway() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(folder, steps: 1_000_000)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            try await ProcessRunTests.waitForStep(1, folder, run)
            let endpoint = try String(contentsOfFile: "\(folder)/runs/tiny/endpoint", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let stranger = try await Binary.run(
                [
                    "rollout", "run.yaml", "--connect", endpoint, "--name", "stranger", "--set",
                    "objective.kind=distillation",
                ], in: folder)
            #expect(stranger.status == 2, "\(stranger.errors)")
            #expect(stranger.errors.contains("stranger samples with the student, and this run with teachers"))
            let status = try await Binary.run(["status", "runs/tiny"], in: folder)
            #expect(status.output.contains("rollout-default-0"), "\(status.output)")
            kill(run.process.processIdentifier, SIGINT)
            #expect(await run.finish(within: 180).status == 130)
        }
    }
}
