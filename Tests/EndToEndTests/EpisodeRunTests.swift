import Foundation
import TestSupport
import Testing

/// Runs whose rollouts are episodes of several turns, by the commands.
@Suite(.serialized) struct EpisodeRunTests {
    /// A random model seldom ends a turn by itself: some letters do.
    private static let episodes = [
        "data.environment.name=guess:limit=9", "data.environment.max_turns=3", "data.environment.max_turn_tokens=12",
        "sampling.max_tokens=90", "sampling.stop=[a, e, i, o, s, t, n]",
    ]

    private func run(
        _ name: String, _ settings: [String], resume: Bool = false, in folder: String
    ) async throws -> Binary.Output {
        try await Binary.run(
            Binary.runWords(name, Self.episodes + settings, resume ? ["--resume"] : []), in: folder)
    }

    /// Whoever works, and whether it was interrupted: the same to the last bit, with ratios of exactly 1.
    @Test(arguments: [[], ["objective.divergence=reverse_kl", "objective.support=full"]])
    func episodesAreReproducible(variant: [String]) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 4)
            let one = try await run("one", variant, in: folder)
            #expect(one.status == 0, "\(one.errors)")
            let two = try await run("two", variant + ["pipeline.workers=2", "pipeline.scorers=2"], in: folder)
            #expect(two.status == 0, "\(two.errors)")
            let begun = try await run("parts", variant + ["training.steps=2"], in: folder)
            #expect(begun.status == 0, "\(begun.errors)")
            let resumed = try await run("parts", variant, resume: true, in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            let weights = try ProcessRunTests.weights(folder, run: "one")
            #expect(try ProcessRunTests.weights(folder, run: "two") == weights)
            #expect(try ProcessRunTests.weights(folder, run: "parts") == weights)
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(metrics.count == 5 && metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            #expect(metrics.dropFirst().allSatisfy { $0["reward_mean"] != nil && $0["reward_mean"] != "null" })
            #expect(try ProcessRunTests.metrics(folder, run: "two") == metrics)
            // Some episodes have several turns, and what was said between them is the template's.
            let samples = try String(contentsOfFile: "\(folder)/runs/one/samples.jsonl", encoding: .utf8)
            let said = samples.split(separator: "\n").filter { $0.contains("\"environment\": [[") }
            let words = ["higher", "lower", "please"]
            #expect(!said.isEmpty && said.allSatisfy { line in words.contains { line.contains($0) } })
        }
    }

    /// The configuration in Examples, a few steps of it.
    @Test func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            let settings = ["data.prompts_per_step=4", "evaluation.every=2", "data.heldout_count=4"]
            let (metrics, run) = try await ExampleRun.run("arithmetic-episodes", steps: 2, settings, in: folder)
            #expect(metrics.count >= 2)
            #expect(metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            let samples = try String(contentsOfFile: "\(folder)/runs/short/samples.jsonl", encoding: .utf8)
            #expect(samples.contains("\"environment\": [["))
            // What asks for answers of one turn is not named, and says so itself.
            #expect(run.output.contains("model: ") && !run.output.contains("measure:"), "\(run.output)")
            #expect(!run.output.contains("before   "), "an answer of one turn says nothing of episodes: \(run.output)")
            let arguments = ["eval", "runs/short/checkpoints/latest/model", "arithmetic", "--count", "2"]
            let refused = try await Binary.run(arguments, in: folder)
            #expect(refused.status == 2 && refused.errorLines.count == 1)
            #expect(refused.errors.contains("(data.environment.name in \(folder)/runs/short/config.yaml)"))
            let measured = try await Binary.run(arguments + ["--one-turn"], in: folder)
            #expect(measured.status == 0 && measured.output.contains("pass@1"), "\(measured.errors)")
        }
    }

    @Test func whatCannotBeIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let refused: [([String], String)] = [
                (["objective.kind=off_policy"], "data.environment.name: with objective.kind off_policy"),
                (["student.engine=torch"], "student.engine: torch trains no episodes"),
                (["rollout.engine=torch"], "rollout.engine: torch samples no episodes"),
                (["sampling.ignore_eos=true"], "sampling.ignore_eos: no turn"),
                (["evaluation.teachers=true"], "evaluation.teachers: teachers play no episodes"),
                (["data.environment.name=chess"], "data.environment.name: there is no 'chess'"),
                (["data.environment.command=[world]"], "data.environment.command: data.environment.name is given too"),
                (["data.environment.slots=2"], "data.environment.slots: is about a program"),
                (["data.template=plain", "data.environment.role=tool"], "plain texts have no role but 'user'"),
                (["objective.kind=mixed", "data.environment.name=calculator"], "has no 'verifier'"),
            ]
            for (settings, message) in refused {
                let result = try await run("off", settings, in: folder)
                #expect(result.status == 2 && result.errors.contains(message), "\(settings): \(result.errors)")
            }
        }
    }
}
