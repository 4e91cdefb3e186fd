import Foundation
import TestSupport
import Testing

/// The models that are in the repository, and what 'make run' does with them, cut short.
@Suite(.serialized) struct QuickStartTests {
    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    static let task = "arithmetic:operations=add+sub"

    private func passRate(_ model: String, in folder: String) async throws -> Double {
        let result = try await Binary.run(
            ["eval", "\(Self.repository)/Examples/models/\(model)", Self.task, "--count", "200", "--json"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let report = try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        return try #require((report["pass_at"] as? [String: [String: Double]])?["1"]?["mean"])
    }

    @Test func theTeacherKnowsAndTheStudentIsToLearn() async throws {
        try await withTemporaryFolder { folder in
            let teacher = try await passRate("arithmetic-teacher", in: folder)
            #expect(teacher > 0.95)
            let student = try await passRate("arithmetic-student", in: folder)
            #expect(student > 0.3 && student < 0.6)
        }
    }

    /// A synchronous run is the same on every machine of a kind; other kinds round otherwise, for which the bounds leave
    /// room.
    @Test func theStudentLearnsAndTheRunCanBeRepeated() async throws {
        try await withTemporaryFolder { folder in
            let runs = "\(folder)/runs/short"
            let arguments = [
                "run", "Examples/arithmetic.yaml", "--again", "--set", "run_folder=\(runs)", "--set",
                "training.steps=200", "--set", "evaluation.every=200", "--set", "checkpoint.every=0",
            ]
            let first = try await Binary.run(arguments, in: Self.repository, within: 900)
            try #require(first.status == 0, "\(first.errors)")
            let metrics = try ProcessRunTests.metrics(folder, run: "short")
            let evaluated = metrics.filter { $0["eval_pass_at_1"] != nil }
            #expect(evaluated.map { $0["step"] } == ["0", "200"])
            func values(_ key: String) -> [Double] { evaluated.compactMap { $0[key].flatMap(Double.init) } }
            let rates = values("eval_pass_at_1"), divergences = values("eval_teacher_kl")
            #expect(rates.count == 2 && rates[1] > rates[0] + 0.04, "\(rates)")
            #expect(divergences.count == 2 && divergences[1] < divergences[0] - 0.05, "\(divergences)")
            #expect(values("eval_teacher_pass_at_1").allSatisfy { $0 > 0.95 })
            let shown = [
                "held-out problems right: ", ", the teacher ", "that it had wrong", "before   ✗ ", "teacher  ✓ ",
            ]
            for text in shown + ["answer   ", "model:   \(runs)/checkpoints/step-000200/model", "measure: ", "talk:"] {
                #expect(first.output.contains(text), "\(first.output)")
            }
            let again = try await Binary.run(arguments + ["--set", "training.steps=1"], in: Self.repository)
            #expect(
                again.status == 0 && again.errors.contains("the earlier run is kept in \(runs)-1"), "\(again.errors)")
            #expect(try ProcessRunTests.metrics(folder, run: "short-1") == metrics)
            #expect(try ProcessRunTests.metrics(folder, run: "short").map { $0["step"] } == ["0", "1"])
        }
    }
}
