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
        try await Binary.run(Binary.runWords(name, Self.both + settings), in: folder)
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

    /// Whole distributions of both, each of which lists tokens of its own: the same whoever grades; and one teacher by two
    /// names is that teacher, to the last bit.
    @Test(arguments: ["reverse_kl", "forward_kl", "jsd"]) func wholeDistributionsOfBoth(divergence: String) async throws
    {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let whole = ["objective.divergence=\(divergence)", "objective.top_k=8"]
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            let same = ["teachers.second.model=teacher", "teachers.second.weight=1"]
            for (name, settings) in [("one", []), ("more", more), ("same", same)] {
                let result = try await run(name, whole + settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(metrics.count == 4 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            #expect(metrics.dropFirst().allSatisfy { $0["divergence"].flatMap(Double.init) ?? 0 > 0 })
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            let weights = try ProcessRunTests.weights(folder, run: "one")
            #expect(try ProcessRunTests.weights(folder, run: "more") == weights)
            let dry = try await Binary.run(
                ["run", "run.yaml", "--dry-run"] + (Self.both + whole).flatMap { ["--set", $0] }, in: folder)
            #expect(dry.status == 0, "\(dry.errors)")
            // The same prompts with that teacher alone.
            let text = try String(contentsOfFile: "\(folder)/prompts.jsonl", encoding: .utf8)
            try text.replacing("[\"default\", \"second\"]", with: "\"default\"").replacing("\"own\"", with: "\"none\"")
                .write(toFile: "\(folder)/prompts.jsonl", atomically: true, encoding: .utf8)
            let alone = try await Binary.run(
                ["run", "run.yaml"] + (["name=alone"] + whole).flatMap { ["--set", $0] }, in: folder)
            #expect(alone.status == 0, "\(alone.errors)")
            #expect(
                try ProcessRunTests.weights(folder, run: "alone") == ProcessRunTests.weights(folder, run: "same"))
        }
    }

    @Test func whatTeachersCannotDoIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let refused = [
                (
                    ["objective.divergence=jsd", "objective.support=full"],
                    "prompt 1 has several teachers (default, second), and objective.support full takes"
                ),
                (
                    ["objective.divergence=jsd", "objective.top_k_from=union"],
                    "prompt 1 has several teachers (default, second), and objective.top_k_from union takes"
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
