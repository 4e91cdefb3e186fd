import Foundation
import TestSupport
import Testing

/// Teachers that are a moving average of the student's weights, by the commands.
@Suite(.serialized) struct AverageTeacherRunTests {
    private static let own = ["teachers.default.model=student", "teachers.default.ema_decay=0.9"]

    /// Steps enough that a run is killed before its end.
    private static let steps = 20

    private func arguments(_ name: String, _ settings: [String], _ flags: [String] = []) -> [String] {
        Binary.runWords(name, Self.own + settings, flags)
    }

    private func run(
        _ name: String, _ settings: [String], _ flags: [String] = [], in folder: String
    ) async throws -> Binary.Output {
        try await Binary.run(arguments(name, settings, flags), in: folder)
    }

    private func average(_ run: String, _ file: String, in folder: String) throws -> Data {
        try Data(
            contentsOf: URL(filePath: "\(folder)/runs/\(run)/checkpoints/latest/averages/default/\(file).safetensors"))
    }

    /// Whoever works, and whether the learner was killed between two refreshes: weights and average are the same to the
    /// last bit.
    @Test(arguments: [
        [], ["lora.rank=4", "teachers.default.refresh_every=2"],
        ["student.dtype=bf16", "teachers.default.dtype=bf16", "teachers.default.refresh_every=3"],
        ["objective.divergence=forward_kl", "objective.top_k=8", "teachers.default.refresh_every=2"],
    ])
    func theTeacherIsAnAverageOfTheStudent(variant: [String]) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let told = ["teachers.default.system='Mind this.'"] + variant
            let one = try await run("one", told, in: folder)
            #expect(one.status == 0, "\(one.errors)")
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            let two = try await run("two", told + more, in: folder)
            #expect(two.status == 0, "\(two.errors)")
            let every = told + ["checkpoint.every=1"]
            let begun = try Binary.Running(arguments("parts", every), input: "", folder: folder, environment: [:])
            try await ProcessRunTests.waitForStep(5, folder, begun, name: "parts")
            for process in ProcessRunTests.children(of: begun.process.processIdentifier, running: "learner") {
                kill(process, SIGKILL)
            }
            #expect(await begun.finish(within: 180).status == 1)
            let resumed = try await run("parts", every, ["--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(metrics.count == Self.steps + 1 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            let file = variant.contains("lora.rank=4") ? "adapter_model" : "model"
            let kept = try average("one", file, in: folder)
            for other in ["two", "parts"] {
                #expect(
                    try ProcessRunTests.weights(folder, run: other) == ProcessRunTests.weights(folder, run: "one"))
                #expect(try average(other, file, in: folder) == kept)
                #expect(try ProcessRunTests.metrics(folder, run: other) == metrics)
            }
        }
    }

    /// With the student's weights of every step as its teacher a run differs.
    @Test func anAverageIsNotTheStudent() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let told = ["teachers.default.system='Mind this.'"]
            let average = try await run("average", told, in: folder)
            #expect(average.status == 0, "\(average.errors)")
            let student = try await run(
                "student", told + ["teachers.default.ema_decay=0", "teachers.default.refresh_every=1"], in: folder)
            #expect(student.status == 0, "\(student.errors)")
            let both = try ["average", "student"].map { name in
                try ProcessRunTests.metrics(folder, run: name).dropFirst().map { $0["teacher_kl"] }
            }
            #expect(both[0].first == both[1].first && both[0].last != both[1].last)
        }
    }

    /// The average is a model: it is evaluated as one.
    @Test func theAverageIsAModel() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 2)
            let told = ["teachers.default.system='Mind this.'", "evaluation.every=0"]
            #expect(try await run("one", told, in: folder).status == 0)
            let path = "runs/one/checkpoints/latest/averages/default"
            let result = try await Binary.run(["inspect", path], in: folder)
            #expect(result.status == 0 && result.output.contains("llama"), "\(result.output) \(result.errors)")
            // Another run may begin with it as its student, and a run that forks goes on with it, by another decay.
            let fork = try await Binary.run(
                ["run", "run.yaml", "--from", "runs/one", "--set", "name=fork"]
                    + (Self.own + told + ["teachers.default.ema_decay=0.5", "training.steps=3"]).flatMap {
                        ["--set", $0]
                    },
                in: folder)
            #expect(fork.status == 0, "\(fork.errors)")
        }
    }

    @Test func aDryRunNamesIt() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let result = try await run("dry", ["teachers.default.refresh_every=2"], ["--dry-run"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(
                result.output.contains(
                    "teacher 'default' is a moving average of the student's weights, of which a step keeps 0.9, as it is "
                        + "every 2 steps"), "\(result.output)")
        }
    }

    /// The configuration in Examples, a few steps of it.
    @Test func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            let (metrics, _) = try await ExampleRun.run("arithmetic-average", steps: 3, in: folder)
            // Before the first step the average is the student.
            #expect(metrics.map { $0["teacher_kl"].flatMap(Double.init) == 0 } == [true, false, false])
        }
    }

    @Test func whatCannotBeIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let refused: [([String], String)] = [
                (["teachers.default.ema_decay=1"], "teachers.default.ema_decay: expected a number of at least 0"),
                (["teachers.default.ema_decay=-0.5"], "teachers.default.ema_decay: expected a number of at least 0"),
                (["teachers.default.model=teacher"], "teachers.default.model: with teachers.default.ema_decay it"),
                (["teachers.default.dtype=bf16"], "teachers.default.dtype: with teachers.default.ema_decay it"),
                (["teachers.default.engine=torch"], "teachers.default.engine: with teachers.default.ema_decay it"),
                (["student.engine=torch"], "teachers.default.ema_decay: student.engine torch keeps no average"),
                (["objective.kind=off_policy"], "teachers.default.ema_decay: with objective.kind off_policy"),
                (
                    ["objective.divergence=jsd", "objective.support=full"],
                    "teachers.default.ema_decay: with objective.support full"
                ),
            ]
            for (settings, message) in refused {
                let result = try await run("off", settings, in: folder)
                #expect(result.status == 2 && result.errors.contains(message), "\(settings): \(result.errors)")
            }
            #expect(try await run("on", ["training.steps=2"], in: folder).status == 0)
            let changed = try await run("on", ["teachers.default.ema_decay=0.5"], ["--resume"], in: folder)
            #expect(
                changed.status == 2
                    && changed.errors.contains("teachers.default.ema_decay is 0.5 now and was 0.9"), "\(changed.errors)"
            )
        }
    }
}
