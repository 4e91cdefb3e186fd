import Foundation
import TestSupport
import Testing

/// Bounds of the log-ratio by the commands.
@Suite(.serialized) struct BoundedRatioRunTests {
    private func run(_ name: String, _ settings: [String], in folder: String) async throws -> Binary.Output {
        let own = ["name=\(name)", "evaluation.every=0", "checkpoint.every=0"]
        return try await Binary.run(["run", "run.yaml"] + (own + settings).flatMap { ["--set", $0] }, in: folder)
    }

    @Test func aBoundedRunTellsWhatItClamped() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 3)
            let runs = [
                "plain": [], "open": ["objective.log_ratio_limit=0", "objective.teacher_mix=1"],
                "limited": ["objective.log_ratio_limit=0.05"], "mixed": ["objective.teacher_mix=0.5"],
            ]
            for (name, settings) in runs {
                let result = try await run(name, settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            // What the defaults are may be said: to the last bit.
            let plain = try ProcessRunTests.metrics(folder, run: "plain")
            #expect(try ProcessRunTests.metrics(folder, run: "open") == plain)
            #expect(try ProcessRunTests.weights(folder, run: "open") == ProcessRunTests.weights(folder, run: "plain"))
            for name in ["limited", "mixed"] {
                let metrics = try ProcessRunTests.metrics(folder, run: name)
                // Until the first step they are the same run.
                #expect(metrics[0]["teacher_kl"] == plain[0]["teacher_kl"] && metrics[0]["loss"] != plain[0]["loss"])
                #expect(try ProcessRunTests.weights(folder, run: name) != ProcessRunTests.weights(folder, run: "plain"))
            }
            let shares = try ProcessRunTests.metrics(folder, run: "limited").map {
                $0["clamp_fraction"].flatMap(Double.init)
            }
            #expect(shares.count == 3 && shares.allSatisfy { ($0 ?? -1) > 0.1 && ($0 ?? 2) <= 1 }, "\(shares)")
            #expect(plain.allSatisfy { $0["clamp_fraction"] == nil })
        }
    }

    @Test func aRunWithoutGradesRefusesThem() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let result = try await run("off", ["objective.kind=off_policy", "objective.teacher_mix=0.9"], in: folder)
            #expect(result.status == 2)
            #expect(
                result.errorLines == [
                    "error: --set: objective.teacher_mix: bounds the ratio of student and teacher, which a run with "
                        + "objective.kind off_policy does not have; leave it out"
                ])
        }
    }
}
