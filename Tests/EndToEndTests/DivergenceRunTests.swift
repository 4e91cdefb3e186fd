import Foundation
import TestSupport
import Testing

/// Divergences of whole distributions by the commands.
@Suite(.serialized) struct DivergenceRunTests {
    private func run(_ name: String, _ settings: [String], in folder: String) async throws -> Binary.Output {
        let own = ["name=\(name)", "checkpoint.every=0"]
        return try await Binary.run(["run", "run.yaml"] + (own + settings).flatMap { ["--set", $0] }, in: folder)
    }

    private static let divergences = ["reverse_kl", "forward_kl", "jsd", "skew_kl", "skew_reverse_kl"]

    /// Whoever samples, grades and computes: the same values and weights, to the last bit.
    @Test(arguments: divergences) func runsCanBeRepeated(divergence: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 3)
            let chosen = ["objective.divergence=\(divergence)", "objective.top_k=16"]
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            for (name, settings) in [("one", []), ("more", more)] {
                let result = try await run(name, chosen + settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            #expect(try ProcessRunTests.weights(folder, run: "more") == ProcessRunTests.weights(folder, run: "one"))
            func values(_ key: String) -> [Double] { metrics.compactMap { $0[key].flatMap(Double.init) } }
            #expect(values("divergence").count == 3 && values("divergence").allSatisfy { $0 > 0 })
            #expect(values("loss") == values("divergence"))
            #expect(values("tail_mass").allSatisfy { (0...1).contains($0) } && values("tail_mass").count == 3)
            #expect(values("teacher_tail_mass").allSatisfy { (0...1).contains($0) })
            #expect(values("ratio_max") == [1, 1, 1] && values("teacher_kl").count == 3)
        }
    }

    /// A teacher that is the student: nothing to learn, to the last bit, in either precision.
    @Test(
        arguments: ["f32", "bf16"],
        [("jsd", "objective.top_k=5"), ("reverse_kl", "objective.support=full")])
    func aTeacherLikeTheStudentTeachesNothing(dtype: String, compared: (divergence: String, support: String))
        async throws
    {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let same = [
                "teachers.default.model=student", "student.dtype=\(dtype)", "teachers.default.dtype=\(dtype)",
                "objective.divergence=\(compared.divergence)", compared.support, "evaluation.every=0",
            ]
            let result = try await run("same", same, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let metrics = try ProcessRunTests.metrics(folder, run: "same")
            for key in ["divergence", "loss", "grad_norm"] {
                #expect(metrics.last?[key].flatMap(Double.init) == 0, "\(key) of \(metrics)")
            }
            let inspected = try await Binary.run(["inspect", "runs/same"], in: folder)
            #expect(inspected.output.contains("divergence:") && inspected.output.contains("(\(compared.divergence))"))
        }
    }

    /// The whole vocabulary, by way of the teacher's last hidden states: to the last bit, whoever works; and a divergence
    /// that is never below that of listed tokens.
    @Test(arguments: divergences) func theWholeVocabularyIsCompared(divergence: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 3)
            let full = ["objective.divergence=\(divergence)", "objective.support=full", "evaluation.every=0"]
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            let listed = ["objective.divergence=\(divergence)", "objective.top_k=16", "evaluation.every=0"]
            for (name, settings) in [("one", full), ("more", full + more), ("listed", listed)] {
                let result = try await run(name, settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            #expect(try ProcessRunTests.weights(folder, run: "more") == ProcessRunTests.weights(folder, run: "one"))
            func divergences(_ run: String) throws -> [Double] {
                try ProcessRunTests.metrics(folder, run: run).compactMap { $0["divergence"].flatMap(Double.init) }
            }
            let whole = try divergences("one"), part = try divergences("listed")
            #expect(whole.count == 3 && part.count == 3 && whole[0] >= part[0] - 1e-6, "\(whole) and \(part)")
            #expect(metrics.allSatisfy { $0["tail_mass"] == nil })
        }
    }

    /// Tokens that the student lists, or both do: to the last bit, whoever works; and a divergence that is never above that
    /// of all tokens.
    @Test(arguments: ["student", "union"]) func theStudentListsTokens(from: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 3)
            let chosen = ["objective.divergence=reverse_kl", "evaluation.every=0"]
            let listed = chosen + ["objective.top_k=16", "objective.top_k_from=\(from)"]
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            for (name, settings) in [
                ("one", listed), ("more", listed + more), ("full", chosen + ["objective.support=full"]),
            ] {
                let result = try await run(name, settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            #expect(try ProcessRunTests.weights(folder, run: "more") == ProcessRunTests.weights(folder, run: "one"))
            func values(_ run: String, _ key: String) throws -> [Double] {
                try ProcessRunTests.metrics(folder, run: run).compactMap { $0[key].flatMap(Double.init) }
            }
            let part = try values("one", "divergence"), whole = try values("full", "divergence")
            #expect(part.count == 3 && part[0] > 0 && part[0] <= whole[0] + 1e-6, "\(part) and \(whole)")
            #expect(try values("one", "loss") == part)
            for key in ["tail_mass", "teacher_tail_mass", "teacher_choice_fraction"] {
                let shares = try values("one", key)
                #expect(shares.count == 3 && shares.allSatisfy { (0...1).contains($0) }, "\(key): \(shares)")
            }
            // What the teacher is does not depend on what is listed.
            for key in ["teacher_entropy", "teacher_choice_fraction", "teacher_kl_from_0"] {
                #expect(try values("one", key).first == values("full", key).first, "\(key)")
            }
        }
    }

    /// Stale samples: their positions are old, and what is compared there is the model that is trained.
    @Test func staleRunsLearn() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 12)
            let settings = [
                "objective.divergence=reverse_kl", "objective.top_k=64", "pipeline.max_staleness=2",
                "evaluation.every=0",
            ]
            let result = try await run("stale", settings, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let divergences = try ProcessRunTests.metrics(folder, run: "stale").compactMap {
                $0["divergence"].flatMap(Double.init)
            }
            #expect(divergences.count == 12)
            let first = divergences.prefix(3).reduce(0, +), last = divergences.suffix(3).reduce(0, +)
            #expect(last < 0.9 * first, "\(divergences)")
        }
    }

    @Test func whatDoesNotGoTogetherIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let chosen = "objective.divergence=reverse_kl"
            let refused: [([String], String)] = [
                ([chosen, "objective.log_ratio_limit=5"], "objective.log_ratio_limit: has no meaning with"),
                ([chosen, "objective.baseline=batch_mean"], "objective.baseline: has no meaning with"),
                ([chosen, "objective.beta=0.3"], "objective.beta: has no meaning with"),
                (["objective.top_k=5"], "objective.top_k: has no meaning with objective.divergence sampled"),
                ([chosen, "objective.kind=off_policy"], "objective.divergence: compares student and teacher"),
                ([chosen, "student.engine=torch"], "student.engine: torch trains on sampled tokens alone"),
                ([chosen, "teachers.default.engine=torch"], "teachers.default.engine: torch grades the sampled token"),
                ([chosen, "teachers.default.token_map=shared"], "teachers.default.token_map: "),
                (
                    [chosen, "objective.support=full", "objective.top_k=5"],
                    "objective.top_k: with objective.support full all tokens"
                ),
                (
                    [chosen, "objective.support=full", "objective.top_k_from=union"],
                    "objective.top_k_from: with objective.support full all tokens"
                ),
                (
                    ["objective.top_k_from=student"],
                    "objective.top_k_from: has no meaning with objective.divergence sampled"
                ),
                (
                    [
                        chosen, "objective.top_k_from=student",
                        "teachers.default.server.urls=http://127.0.0.1:9",
                    ],
                    "teachers.default.server: a server sends no last hidden states, which objective.top_k_from student needs"
                ),
                (
                    [chosen, "objective.top_k_from=student", "objective.top_k=704"],
                    "objective.top_k: 704 tokens are the whole vocabulary of 704"
                ),
                ([chosen, "objective.top_k=704"], "objective.top_k: 704 tokens are the whole vocabulary of 704"),
            ]
            for (settings, message) in refused {
                let result = try await run("off", settings, in: folder)
                #expect(result.status == 2 && result.errors.contains(message), "\(settings): \(result.errors)")
            }
        }
    }

    /// A learner needs the heads of its teachers, whoever grades.
    @Test func aTeacherThatIsElsewhereIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let settings = [
                "objective.divergence=jsd", "objective.support=full", "teachers.default.model=elsewhere",
                "evaluation.teachers=false",
            ]
            let result = try await Binary.run(
                ["learner", "run.yaml"] + settings.flatMap { ["--set", $0] }, in: folder)
            let message = "teachers.default: elsewhere is not on this machine, but with objective.support full"
            #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
        }
    }

    /// The configurations in Examples, a few steps of each.
    @Test(arguments: ["", "-sampled", "-divergence", "-listed"]) func theExampleRuns(name: String) async throws {
        try await withTemporaryFolder { folder in
            let (metrics, _) = try await ExampleRun.run(
                "arithmetic\(name)", steps: 5, ["evaluation.teachers=false"], in: folder)
            #expect(metrics.count == 5)
            for step in metrics {
                let divergence = step["divergence"].flatMap { Double($0) }
                #expect(name == "-sampled" ? divergence == nil : (divergence ?? -1) > 0)
            }
        }
    }
}
