import Foundation
import TestSupport
import Testing

/// Given responses that are imitated beside what the student samples, by the commands.
@Suite(.serialized) struct GivenResponseRunTests {
    private func run(_ name: String, _ settings: [String], in folder: String) async throws -> Binary.Output {
        let own = ["name=\(name)", "checkpoint.every=0", "evaluation.every=0"]
        return try await Binary.run(["run", "run.yaml"] + (own + settings).flatMap { ["--set", $0] }, in: folder)
    }

    /// Prompts of which some have a response, one as a last message of the assistant.
    private func write(in folder: String) throws {
        try TinyModel.writeRun(in: folder, steps: 6)
        try """
        {"prompt": "Name a river.", "response": "The Nile."}
        {"prompt": "Say hello."}
        {"messages": [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "One, two."}]}

        """.write(toFile: "\(folder)/given.jsonl", atomically: true, encoding: .utf8)
    }

    /// The same values and weights whoever works; the given responses become likelier, and without the key nothing changes.
    @Test func givenResponsesAreLearnt() async throws {
        try await withTemporaryFolder { folder in
            try write(in: folder)
            let file = ["data.prompts=given.jsonl", "data.prompts_per_step=3"]
            let given = file + ["objective.cross_entropy_coefficient=0.5"]
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            let none = file + ["objective.cross_entropy_coefficient=0"]
            for (name, settings) in [("one", given), ("more", given + more), ("plain", file), ("none", none)] {
                let result = try await run(name, settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            #expect(try ProcessRunTests.weights(folder, run: "more") == ProcessRunTests.weights(folder, run: "one"))
            let entropies = metrics.compactMap { $0["cross_entropy"].flatMap(Double.init) }
            #expect(entropies.count == 6 && (entropies.last ?? 9) < 0.9 * (entropies.first ?? 0), "\(entropies)")
            let plain = try ProcessRunTests.metrics(folder, run: "plain")
            #expect(try ProcessRunTests.metrics(folder, run: "none") == plain)
            #expect(plain.allSatisfy { $0["cross_entropy"] == nil })
            // The first step samples the same, and measures it alike.
            for key in ["teacher_kl", "entropy", "batch_tokens", "ratio_max"] {
                #expect(plain.first?[key] == metrics.first?[key], "\(key)")
            }
            let loss = plain.first?["loss"].flatMap(Double.init) ?? .nan
            let both = metrics.first?["loss"].flatMap(Double.init) ?? .nan
            #expect(abs(both - loss - 0.5 * (entropies.first ?? 0)) < 1e-9)
            let flops = [plain, metrics].map { $0.first?["training_flops"].flatMap(Double.init) ?? 0 }
            #expect(flops[0] > 0 && flops[1] > flops[0])
        }
    }

    @Test func whatDoesNotGoTogetherIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try write(in: folder)
            let chosen = "objective.cross_entropy_coefficient=0.5"
            let refused: [([String], String)] = [
                ([chosen], "objective.cross_entropy_coefficient: no prompt of this run has a response to imitate"),
                (
                    [chosen, "objective.kind=off_policy"],
                    "objective.cross_entropy_coefficient: is beside what the student samples"
                ),
                (["objective.cross_entropy_coefficient=-1"], "objective.cross_entropy_coefficient: "),
            ]
            for (settings, message) in refused {
                let result = try await run("off", settings, in: folder)
                #expect(result.status == 2 && result.errors.contains(message), "\(settings): \(result.errors)")
            }
        }
    }

    /// The configuration in Examples, a few steps of it: a divergence, rewards and cross-entropy together.
    @Test func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            let (metrics, _) = try await ExampleRun.run(
                "arithmetic-mixed", steps: 3, ["evaluation.teachers=false"], in: folder)
            for key in ["divergence", "reward_mean", "cross_entropy"] {
                #expect(metrics.count == 3 && metrics.allSatisfy { $0[key].flatMap(Double.init) != nil }, "\(key)")
            }
        }
    }
}
