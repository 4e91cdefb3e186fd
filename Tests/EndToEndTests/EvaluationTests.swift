import Foundation
import TestSupport
import Testing

@Suite struct EvaluationTests {
    private func object(_ output: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    }

    private func mean(_ report: [String: Any], _ k: String) throws -> Double {
        let rates = try #require(report["pass_at"] as? [String: [String: Double]])
        return try #require(rates[k]?["mean"])
    }

    @Test func aTaskIsPrintedAndItsFileEvaluated() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let printed = try await Binary.run(
                ["task", "arithmetic:digits=2", "--count", "5", "--heldout"], in: folder)
            #expect(printed.status == 0 && printed.lines.count == 5, "\(printed.errors)")
            try write(printed.output, "\(folder)/problems.jsonl")
            let options = ["--samples", "4", "--json", "--dtype", "f32", "--threads", "1", "--max-tokens", "8"]
            let file = try await Binary.run(["eval", "model", "problems.jsonl"] + options, in: folder)
            #expect(file.status == 0, "\(file.errors)")
            let report = try object(file.output)
            #expect(report["problems"] as? Int == 5 && report["samples"] as? Int == 4)
            #expect(try mean(report, "1") == 0 && mean(report, "2") == 0 && mean(report, "4") == 0)
            // The task's own first held-out problems are those of the file; slots and threads change nothing.
            let task = try await Binary.run(
                ["eval", "model", "arithmetic:digits=2", "--count", "5", "--slots", "3"]
                    + options.map { $0 == "1" ? "2" : $0 }, in: folder)
            let same = ["tokens", "response_length_mean", "truncated_fraction", "reward_mean"]
            let other = try object(task.output)
            for key in same { #expect(other[key] as? Double == report[key] as? Double, "\(key)") }
        }
    }

    @Test func rewardsAndDivergencesAreMeasured() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            try TinyModel.write(to: "\(folder)/other", seed: 2)
            let rules = ["max_characters 100000", "max_words 0"].map { "\"\($0)\"" }.joined(separator: ", ")
            try write(
                "{\"prompt\": \"Hi\", \"verifier\": {\"name\": \"rules\", \"rules\": [\(rules)]}}\n"
                    + "{\"prompt\": \"Ho\", \"verifier\": {\"name\": \"rules\", \"rules\": [\"max_characters 100000\"]}}\n",
                "\(folder)/rules.jsonl")
            let options = ["--samples", "3", "--json", "--max-tokens", "12", "--dtype", "f32", "--teacher"]
            let own = try await Binary.run(["eval", "model", "rules.jsonl"] + options + ["model"], in: folder)
            #expect(own.status == 0, "\(own.errors)")
            let report = try object(own.output)
            #expect(try mean(report, "1") == 0.5 && mean(report, "3") == 0.5)
            #expect(report["reward_mean"] as? Double == 0.75)
            let zero = try #require(report["teacher_kl"] as? [String: Double])
            #expect(zero == ["mean": 0, "low": 0, "high": 0], "a model does not diverge from itself")
            let apart = try await Binary.run(["eval", "model", "rules.jsonl"] + options + ["other"], in: folder)
            let kl = try #require(try object(apart.output)["teacher_kl"] as? [String: Double])
            #expect(try #require(kl["mean"]) > 0.01)
            let text = try await Binary.run(["eval", "model", "rules.jsonl", "--max-tokens", "4"], in: folder)
            #expect(text.lines.first?.hasPrefix("pass@1:  50.0%  (95%: ") == true, "\(text.output)")
        }
    }

    /// Without verifiers a teacher is enough.
    @Test func promptsWithoutVerifiersAreGraded() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            try TinyModel.write(to: "\(folder)/other", seed: 2)
            try write("{\"prompt\": \"Hi\"}\n{\"prompt\": \"Ho\"}\n", "\(folder)/plain.jsonl")
            let options = ["--samples", "2", "--max-tokens", "8", "--dtype", "f32", "--teacher", "other"]
            let result = try await Binary.run(["eval", "model", "plain.jsonl", "--json"] + options, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let report = try object(result.output)
            let kl = try #require(report["teacher_kl"] as? [String: Double])
            #expect(try #require(kl["mean"]) > 0.01)
            #expect((report["pass_at"] as? [String: Any])?.isEmpty == true && report["reward_mean"] is NSNull)
            let text = try await Binary.run(["eval", "model", "plain.jsonl"] + options, in: folder)
            #expect(text.status == 0 && text.lines.first?.hasPrefix("KL:") == true, "\(text.output)")
            try write(
                "{\"prompt\": \"Hi\"}\n{\"prompt\": \"Ho\", \"answer\": \"a\", \"verifier\": \"exact\"}\n",
                "\(folder)/mixed.jsonl")
            let mixed = try await Binary.run(["eval", "model", "mixed.jsonl"] + options, in: folder)
            #expect(mixed.status == 2 && mixed.errors.contains("prompt 1 has no 'verifier'"), "\(mixed.errors)")
            #expect(mixed.errors.contains("of every prompt or of none"))
        }
    }

    /// Every sample is a line that can be learnt from, evaluated again, or sorted by what came of it.
    @Test func samplesAreKeptAsAPromptFile() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let rules = "{\"name\": \"rules\", \"rules\": [\"max_characters 40\", \"min_words 2\"]}"
            try write(
                """
                {"prompt": "Say \\"hi\\".", "answer": "x", "verifier": \(rules)}
                {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Ho"}], "verifier": \(rules)}

                """, "\(folder)/asked.jsonl")
            let options = ["--samples", "4", "--json", "--max-tokens", "12", "--dtype", "f32", "--teacher", "model"]
            let first = try await Binary.run(
                ["eval", "model", "asked.jsonl", "--output", "samples.jsonl"] + options, in: folder)
            #expect(first.status == 0, "\(first.errors)")
            let report = try object(first.output)
            let lines = try String(contentsOfFile: "\(folder)/samples.jsonl", encoding: .utf8).split(separator: "\n")
                .map { try object(String($0)) }
            #expect(lines.count == 8)
            #expect(
                lines[..<4].allSatisfy { $0["prompt"] as? String == "Say \"hi\"." && $0["answer"] as? String == "x" })
            #expect(
                lines[4...].allSatisfy { ($0["messages"] as? [[String: String]])?.first?["content"] == "Be brief." })
            #expect(Set(lines.compactMap { $0["response"] as? String }).count > 1)
            let rewards = lines.compactMap { $0["reward"] as? Double }
            #expect(rewards.count == 8 && rewards.reduce(0, +) / 8 == report["reward_mean"] as? Double)
            let passed = lines.compactMap { $0["passed"] as? Bool }
            #expect(try Double(passed.count { $0 }) / 8 == mean(report, "1"))
            #expect(lines.reduce(0) { $0 + ($1["tokens"] as? Int ?? 0) } == report["tokens"] as? Int)
            #expect(lines.allSatisfy { ["stop", "length"].contains($0["finish_reason"] as? String) })
            #expect(lines.allSatisfy { $0["teacher_kl"] as? Double == 0 }, "of a model from itself")
            // Nothing is written over.
            let again = try await Binary.run(
                ["eval", "model", "asked.jsonl", "--output", "samples.jsonl"] + options, in: folder)
            #expect(again.status == 2 && again.errors == "error: --output samples.jsonl exists; give another file\n")
            let nowhere = try await Binary.run(["eval", "model", "asked.jsonl", "--output", "no/samples"], in: folder)
            #expect(nowhere.status == 2 && nowhere.errors.contains("its folder is not there"), "\(nowhere.errors)")
            // The file serves an evaluation and a supervised run.
            let evaluated = try await Binary.run(
                ["eval", "model", "samples.jsonl", "--max-tokens", "4", "--json"], in: folder)
            #expect(evaluated.status == 0, "\(evaluated.errors)")
            #expect(try object(evaluated.output)["problems"] as? Int == 8)
            try write(
                """
                name: tiny
                student: { model: model, dtype: f32 }
                objective: { kind: supervised }
                data: { prompts: samples.jsonl, prompts_per_step: 4 }
                training: { steps: 1 }
                evaluation: { every: 0 }

                """, "\(folder)/sft.yaml")
            let learnt = try await Binary.run(["run", "sft.yaml"], in: folder)
            #expect(learnt.status == 0, "\(learnt.errors)")
        }
    }

    @Test(arguments: [
        (["eval", "model", "sums.jsonl"], "error: sums.jsonl: no such file"),
        (
            ["eval", "model", "arithmetic:digits=0"],
            "error: task arithmetic: digits takes an integer from 1 to 9, not '0'"
        ),
        (
            ["eval", "model", "plain.jsonl"],
            "error: plain.jsonl: prompt 1 has no 'verifier', which an evaluation needs of every prompt"
        ),
        (
            ["eval", "model", "format", "--temperature", "0", "--samples", "2"],
            "error: at --temperature 0 all samples are the same; give --samples 1 (see 'opd --help')"
        ),
        (
            ["eval", "model", "format", "--max-tokens", "300"],
            "error: format: the longest prompt leaves 226 of the model's context of 256 for 300 new tokens; lower "
                + "--max-tokens or take a shorter task"
        ),
        (["task", "sums"], "error: unknown task 'sums'; expected one of arithmetic, format"),
    ])
    func whatCannotBeIsOneLine(arguments: [String], message: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            try write("{\"prompt\": \"Hi\"}\n", "\(folder)/plain.jsonl")
            let result = try await Binary.run(arguments, in: folder)
            #expect(result.status == 2)
            let prefix = message.split(separator: " of the model's").first ?? ""
            #expect(result.errorLines.count == 1 && result.errors.hasPrefix(prefix.prefix(40)), "\(result.errors)")
        }
    }

    /// A pattern that never ends costs its responses the reward, is named once, and ends nothing.
    @Test func aHostilePatternIsNamed() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let pattern = #"(?s)^(.?){0,64}(.?){0,64}(.?){0,64}(.?){0,64}\\d{40}never$"#
            try write(
                "{\"prompt\": \"Hi\", \"verifier\": {\"name\": \"regex\", \"pattern\": \"\(pattern)\"}}\n",
                "\(folder)/hostile.jsonl")
            let result = try await Binary.run(
                ["eval", "model", "hostile.jsonl", "--samples", "4", "--max-tokens", "40"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.errors.hasPrefix("warning: 4 responses could not be judged and count as wrong: pattern '"))
            #expect(result.errors.contains("gives up on a response of"), "\(result.errors)")
            #expect(result.lines.first?.hasPrefix("pass@1:  0.0%") == true)
        }
    }
}
