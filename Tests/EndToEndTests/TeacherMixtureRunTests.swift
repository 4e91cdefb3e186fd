import Foundation
import TestSupport
import Testing

/// Several teachers for one prompt, by the commands.
@Suite(.serialized) struct TeacherMixtureRunTests {
    private static let both = [
        "teachers.second.model=second", "teachers.second.dtype=f32", "teachers.second.weight=3",
        "teachers.default.tags=both", "teachers.second.tags=[both, own]",
    ]

    /// A run of tiny models with prompts of one teacher and of both.
    private func writeRun(in folder: String, steps: Int = 3) throws {
        try TinyModel.writeRun(in: folder, steps: steps)
        try TinyModel.write(to: "\(folder)/second", seed: 3)
        let prompts = [
            "{\"prompt\": \"One\", \"tags\": [\"both\"]}",
            "{\"prompt\": \"Two\", \"teacher\": [\"default\", \"second\"]}",
            "{\"prompt\": \"Three\", \"tags\": [\"own\"]}", "{\"prompt\": \"Four\"}",
        ]
        try prompts.joined(separator: "\n").write(toFile: "\(folder)/prompts.jsonl", atomically: true, encoding: .utf8)
    }

    private func run(_ name: String, _ settings: [String], in folder: String) async throws -> Binary.Output {
        try await Binary.run(
            ["run", "run.yaml"] + (["name=\(name)"] + Self.both + settings).flatMap { ["--set", $0] }, in: folder)
    }

    @Test func theRunIsTheSameWhoeverGrades() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            for (name, settings) in [("one", []), ("more", more), ("other", ["teachers.second.weight=1"])] {
                let result = try await run(name, settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(metrics.count == 4 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            let weights = try ProcessRunTests.weights(folder, run: "one")
            #expect(try ProcessRunTests.weights(folder, run: "more") == weights)
            #expect(try ProcessRunTests.weights(folder, run: "other") != weights)
            let samples = try String(contentsOfFile: "\(folder)/runs/one/samples.jsonl", encoding: .utf8)
            for teacher in ["default+second", "second", "default"] {
                #expect(samples.contains("\"teacher\": \"\(teacher)\""))
            }
        }
    }

    @Test func whatTeachersCannotDoIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let refused = [
                (
                    ["objective.divergence=jsd"],
                    "prompt 1 has several teachers (default, second), and objective.divergence"
                ),
                (
                    ["objective.kind=off_policy"],
                    "prompt 1 has several teachers (default, second), and with objective.kind"
                ),
                (["teachers.third.model=second"], "teachers.third: no prompt of this run asks for it"),
            ]
            for (settings, message) in refused {
                let result = try await run("off", settings, in: folder)
                #expect(result.status == 2 && result.errors.contains(message), "\(settings): \(result.errors)")
            }
        }
    }

    /// The configuration in Examples, a few steps of it.
    @Test func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            let (metrics, _) = try await ExampleRun.run(
                "arithmetic-anchored", steps: 5, ["evaluation.teachers=false"], in: folder)
            #expect(metrics.count == 5)
        }
    }
}
