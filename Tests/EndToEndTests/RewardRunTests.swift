import Foundation
import TestSupport
import Testing

/// Reinforcement and mixed runs by the commands, of tiny models that cannot yet do their task.
@Suite(.serialized) struct RewardCommandTests {
    private func writeRun(_ folder: String, kind: String) throws {
        try TinyModel.writeRun(in: folder, steps: 4)
        let rules = "{\"name\": \"rules\", \"rules\": [\"max_characters 14\", \"excludes e\"]}"
        for (file, prompts) in [("prompts", ["Name a river.", "Say hello.", "Count."]), ("heldout", ["Name a lake."])] {
            try write(
                prompts.map { "{\"prompt\": \"\($0)\", \"verifier\": \(rules)}\n" }.joined(), "\(folder)/\(file).jsonl")
        }
        let configuration = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8)
        try write(configuration + "\nobjective: { kind: \(kind), loss: ppo_clip }\n", "\(folder)/run.yaml")
    }

    @Test(arguments: ["reinforcement", "mixed"]) func itRunsAndIsTheSameWithMoreWorkers(kind: String) async throws {
        try await withTemporaryFolder { folder in
            try writeRun(folder, kind: kind)
            let one = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(one.status == 0, "\(one.errors)")
            let metrics = try ProcessRunTests.metrics(folder), weights = try ProcessRunTests.weights(folder)
            #expect(metrics.map { $0["step"] } == (0...4).map { "\($0)" })
            let rewards = metrics.compactMap { $0["reward_mean"].flatMap(Double.init) }
            #expect(rewards.count == 4 && rewards.allSatisfy { (0...1).contains($0) } && Set(rewards).count > 1)
            #expect(metrics.filter { $0["eval_pass_at_1"] != nil }.map { $0["step"] } == ["0", "2", "4"])
            let isGraded = kind == "mixed"
            #expect((metrics.last.flatMap { $0["teacher_kl"].flatMap(Double.init) } != nil) == isGraded)
            #expect(one.output.contains("held-out problems right"), "\(one.output)")
            #expect(one.output.contains("teacher ") == isGraded, "\(one.output)")
            let logs = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/runs/tiny/logs")
            #expect(logs.contains("scorer-default-0.log") == isGraded, "\(logs)")
            try FileManager.default.removeItem(atPath: "\(folder)/runs")
            let two = try await Binary.run(["run", "run.yaml", "--workers", "2"], in: folder)
            #expect(two.status == 0, "\(two.errors)")
            #expect(try ProcessRunTests.metrics(folder) == metrics)
            #expect(try ProcessRunTests.weights(folder) == weights)
        }
    }

    @Test func aTaskServesARun() async throws {
        try await withTemporaryFolder { folder in
            try write(
                """
                name: tiny
                student: { model: student, dtype: f32 }
                objective: { kind: reinforcement }
                data: { task: "format:letters=2", task_prompts: 20, heldout_count: 6, prompts_per_step: 2 }
                sampling: { max_tokens: 8 }
                training: { steps: 2 }
                pipeline: { threads: 1 }
                evaluation: { every: 2 }

                """, "\(folder)/run.yaml")
            let made = try await Binary.run(
                ["init", "student", "--layers", "1", "--hidden", "16", "--heads", "2", "--context", "64"], in: folder)
            #expect(made.status == 0, "\(made.errors)")
            let result = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let metrics = try ProcessRunTests.metrics(folder)
            #expect(metrics.last?["eval_responses"] == "6")
            // A start at rules that hold for some answers by chance, not at nothing.
            #expect(metrics.compactMap { $0["reward_mean"].flatMap(Double.init) }.count == 2)
        }
    }

    @Test(arguments: [
        (["--set", "data.samples_per_prompt=1"], "data.samples_per_prompt: a reward is compared with those of"),
        (["--set", "data.prompts=plain.jsonl"], "plain.jsonl: prompt 2 has no 'verifier', which gives objective.kind"),
    ])
    func whatCannotBeIsSaid(arguments: [String], message: String) async throws {
        try await withTemporaryFolder { folder in
            try writeRun(folder, kind: "reinforcement")
            try write(
                "{\"prompt\": \"a\", \"answer\": \"b\", \"verifier\": \"exact\"}\n{\"prompt\": \"a\"}\n",
                "\(folder)/plain.jsonl")
            let result = try await Binary.run(["run", "run.yaml"] + arguments, in: folder)
            #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
        }
    }
}
