import Foundation
import TestSupport
import Testing

/// Teachers that are the student's own earlier self, by the commands.
@Suite(.serialized) struct EarlierSelfRunTests {
    private static let own = ["teachers.default.model=student", "teachers.default.refresh_every=2"]

    private func run(
        _ name: String, _ settings: [String], resume: Bool = false, in folder: String
    ) async throws -> Binary.Output {
        try await Binary.run(
            Binary.runWords(name, Self.own + settings, resume ? ["--resume"] : []), in: folder)
    }

    /// Whoever works, and whether it was interrupted between two refreshes: the same to the last bit. What the teacher
    /// is told makes it another than the student.
    @Test(arguments: [[], ["lora.rank=4"], ["objective.divergence=forward_kl", "objective.top_k=8"]])
    func theTeacherIsAnEarlierStudent(variant: [String]) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 7)
            let told = ["teachers.default.system='Mind this.'"] + variant
            let one = try await run("one", told, in: folder)
            #expect(one.status == 0, "\(one.errors)")
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            let two = try await run("two", told + more, in: folder)
            #expect(two.status == 0, "\(two.errors)")
            let begun = try await run("parts", told + ["training.steps=3", "training.on_bad_step=stop"], in: folder)
            #expect(begun.status == 0, "\(begun.errors)")
            let files = try FileManager.default.contentsOfDirectory(
                atPath: "\(folder)/runs/parts/checkpoints/step-000003")
            #expect(files.contains("weights-2.bin"))
            let resumed = try await run("parts", told, resume: true, in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            let weights = try ProcessRunTests.weights(folder, run: "one")
            #expect(try ProcessRunTests.weights(folder, run: "two") == weights)
            #expect(try ProcessRunTests.weights(folder, run: "parts") == weights)
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(metrics.count == 8 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            #expect(try ProcessRunTests.metrics(folder, run: "two") == metrics)
        }
    }

    /// The configuration in Examples, a few steps of it.
    @Test func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            let (metrics, _) = try await ExampleRun.run(
                "arithmetic-earlier", steps: 3, ["teachers.earlier.refresh_every=2"], in: folder)
            // A fresh copy is the student itself; a step later it is not.
            #expect(metrics.map { $0["teacher_kl"].flatMap(Double.init) == 0 } == [true, false, true])
        }
    }

    @Test func whatCannotBeIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let refused: [([String], String)] = [
                (["teachers.default.model=teacher"], "teachers.default.model: with teachers.default.refresh_every"),
                (["teachers.default.dtype=bf16"], "teachers.default.dtype: with teachers.default.refresh_every"),
                (["teachers.default.token_map=shared"], "teachers.default.token_map: with"),
                (["teachers.default.engine=torch"], "teachers.default.engine: with"),
                (["objective.kind=off_policy"], "teachers.default.refresh_every: with objective.kind off_policy"),
                (
                    ["objective.divergence=jsd", "objective.support=full"],
                    "teachers.default.refresh_every: with objective.support full"
                ),
            ]
            for (settings, message) in refused {
                let result = try await run("off", settings, in: folder)
                #expect(result.status == 2 && result.errors.contains(message), "\(settings): \(result.errors)")
            }
        }
    }
}
