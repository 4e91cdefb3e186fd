import Configuration
import Foundation
import TestSupport
import Testing

@Suite struct ConfigurationReaderTests {
    /// Thirteen lines that stand for 9^12 values, as a key: comparing keys would follow all of them.
    @Test func aliasesCannotMultiply() {
        var text = "a: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 0..<12 {
            let aliases = [String](repeating: "*a\(level)", count: 9).joined(separator: ",")
            text += "b\(level): &a\(level + 1) [\(aliases)]\n"
        }
        #expect(problems(text + "? *a12\n: x\n") == ["run.yaml: has 109 aliases (*name), more than 16"])
        #expect(problems(minimal, ["name=[\([String](repeating: "*x", count: 17).joined(separator: ","))]"]).count == 1)
        // What only looks like aliases.
        #expect(problems(minimal + "\n# \(String(repeating: "*a ", count: 40))\npipeline: {endpoint: tcp://*:*}") == [])
    }

    @Test func excessIsCutShort() {
        let keys = (0..<5000).map { "k\($0): 1" }.joined(separator: "\n")
        let found = problems(keys)
        #expect(found.count < 60 && found.contains { $0.contains("stopped after 50 problems") })
        #expect(problems("name: " + String(repeating: "x", count: 1 << 20)).first?.contains("more than") == true)
    }

    @Test func leftOutKeysHaveTheirDefaults() throws {
        let configuration = try parse(minimal)
        #expect(configuration.name == "tiny")
        #expect(configuration.seed == 1)
        #expect(configuration.runFolder == "runs/tiny")
        #expect(configuration.teachers["default"]?.model == "t")
        #expect(configuration.training == RunConfiguration.Training())
        #expect(configuration.pipeline == RunConfiguration.Pipeline())
    }

    @Test func everyKeyOfTheFileIsRead() throws {
        let configuration = try parse(
            """
            name: smollm2
            seed: 7
            student:  { model: models/smollm2-26, dtype: f32 }
            teachers: { default: { model: models/smollm2, dtype: bf16 }, math: { model: m, dtype: f32 } }
            data:     { prompts: Examples/prompts.jsonl, heldout: h, template: chatml, prompts_per_step: 9, samples_per_prompt: 5 }
            sampling: { max_tokens: 48, temperature: 0.9, top_p: 0.8, top_k: 3 }
            objective: { loss: ppo_clip, advantage: current, kl_coefficient: 2, kl_discount: 0.5 }
            training: { steps: 40, learning_rate: 1.0e-4, warmup_steps: 5, schedule: cosine, weight_decay: 0.1, clip_grad_norm: 2, token_budget: 4096 }
            pipeline: { max_staleness: 2, workers: 3, scorers: 4, lease_s: 61, heartbeat_s: 2.5 }
            evaluation: { every: 11 }
            checkpoint: { every: 12, keep_last: 4 }
            """)
        #expect(configuration.seed == 7)
        #expect(configuration.student.dtype == .f32)
        #expect(configuration.teachers["math"]?.dtype == .f32)
        #expect(configuration.data.template == "chatml" && configuration.data.promptsPerStep == 9)
        #expect(configuration.rolloutsPerStep == 45)
        #expect(configuration.sampling.topK == 3 && configuration.sampling.topP == 0.8)
        #expect(configuration.objective.loss == .ppoClip && configuration.objective.advantage == .current)
        #expect(configuration.training.learningRate == 1e-4 && configuration.training.schedule == .cosine)
        #expect(configuration.pipeline.leaseSeconds == 61 && configuration.pipeline.scorers == 4)
        #expect(configuration.evaluation.every == 11 && configuration.checkpoint.keepLast == 4)
    }

    @Test func anUnknownKeyNamesTheNearestOneAndItsLine() {
        #expect(
            problems(minimal + "\ntraining:\n  steps: 3\n  learning_rte: 1")
                == ["run.yaml:7: training.learning_rte: unknown key; did you mean 'learning_rate'?"])
        #expect(problems(minimal + "\ntrainin: {}") == ["run.yaml:5: trainin: unknown key; did you mean 'training'?"])
        #expect(
            problems(minimal + "\nlearning_rate: 1")
                == ["run.yaml:5: learning_rate: unknown key; did you mean 'training.learning_rate'?"])
        #expect(
            problems(minimal + "\nevaluation: { zebra: 1 }")
                == [
                    "run.yaml:5: evaluation.zebra: unknown key; expected one of every, stop_at_pass_rate, stop_at_kl, "
                        + "teachers"
                ])
    }

    @Test(arguments: [
        ("training: { steps: many }", "training.steps: expected an integer from 1 to 1000000000, got 'many'"),
        ("training: { steps: 0 }", "training.steps: expected an integer from 1 to 1000000000, got '0'"),
        ("training: { steps: 1.5 }", "training.steps: expected an integer from 1 to 1000000000, got '1.5'"),
        ("training: { steps: '3' }", "training.steps: expected an integer from 1 to 1000000000, got '3'"),
        ("training: { steps: }", "training.steps: expected an integer from 1 to 1000000000, got nothing"),
        ("training: { steps: [1] }", "training.steps: expected an integer from 1 to 1000000000"),
        (
            "training: { learning_rate: nan }",
            "training.learning_rate: expected a number of at least 0 and at most 100, got 'nan'"
        ),
        (
            "training: { learning_rate: .inf }",
            "training.learning_rate: expected a number of at least 0 and at most 100, got '.inf'"
        ),
        ("sampling: { temperature: 0 }", "sampling.temperature: expected a number above 0 and at most 100, got '0'"),
        ("seed: -1", "seed: expected an integer of at least 0, got '-1'"),
        ("seed: 99999999999999999999", "seed: expected an integer of at least 0, got '99999999999999999999'"),
        (
            "objective: { loss: ppo_clop }",
            "objective.loss: expected one of importance_sampling, ppo_clip, truncated_importance_sampling, got 'ppo_clop'; did you mean 'ppo_clip'?"
        ),
        (
            "data: 3",
            "data: expected a section with prompts, heldout, fields, overlong, task, task_prompts, heldout_count, template, template_arguments, system_prompt, date, prompts_per_step, samples_per_prompt, shuffle, environment"
        ),
        (
            "pipeline: { lease_s: 1 }",
            "pipeline.lease_s: 1 must be above pipeline.heartbeat_s 2: heartbeats renew leases"
        ),
        ("pipeline: { endpoint: foo }", "pipeline.endpoint: expected tcp://ADDRESS:PORT or ipc://PATH, got 'foo'"),
        ("training: { min_learning_rate: 1 }", "training.min_learning_rate: 1 is above training.learning_rate 0.0001"),
        ("run_folder: ''", "run_folder: expected text, got ''"),
    ])
    func aWrongValueIsOneLine(text: String, expected: String) {
        let base = minimal.split(separator: "\n").filter { !text.hasPrefix("data") || !$0.hasPrefix("data") }.joined(
            separator: "\n")
        let line = base.split(separator: "\n").count + 1
        #expect(problems(base + "\n" + text) == ["run.yaml:\(line): \(expected)"])
    }

    @Test func allProblemsAreReportedInOrder() {
        let found = problems("name: 'a b'\nstudent: { modle: x }\ntraining: { steps: -1, sched: linear }\n")
        #expect(
            found == [
                "run.yaml: teachers: missing; name at least one teacher: 'teachers: { default: { model: ... } }'",
                "run.yaml: data.prompts: missing; a path: JSON lines of training prompts; or name a data.task",
                "run.yaml:1: name: expected a name of letters, digits, '.', '_' and '-', got 'a b'",
                "run.yaml:2: student.modle: unknown key; did you mean 'model'?",
                "run.yaml:2: student.model: missing; a path: model that is trained",
                "run.yaml:3: training.steps: expected an integer from 1 to 1000000000, got '-1'",
                "run.yaml:3: training.sched: unknown key; expected one of steps, learning_rate, min_learning_rate, warmup_steps, schedule, beta1, beta2, epsilon, weight_decay, clip_grad_norm, token_budget, on_bad_step, "
                    + "bad_steps_in_a_row, kl_limit, empty_limit",
            ])
    }

    @Test func brokenYamlNamesItsLine() {
        #expect(problems("name: x\n  bad: [").first?.hasPrefix("run.yaml:2: is not YAML: ") == true)
        #expect(problems("") == ["run.yaml: is empty"])
        #expect(problems("- a\n") == ["run.yaml:1: expected sections such as 'student:' and 'training:'"])
        #expect(problems("a: *b\n") == ["run.yaml:1: is not YAML: found undefined alias"])
        #expect(
            problems(minimal + "\ntraining: { steps: 1, steps: 2 }")
                == ["run.yaml:5: the key 'steps' is given twice in one section"])
        #expect(problems("name: \u{0}") != [])
    }

    @Test func overridesAreCheckedLikeTheFile() throws {
        let configuration = try parse(
            minimal,
            [
                "training.steps=5", "training.learning_rate=1e-3", "teachers.math.model=m", "seed=2", "seed=3",
                "student={model: z}",
            ])
        #expect(configuration.training.steps == 5)
        #expect(configuration.training.learningRate == 1e-3)
        #expect(configuration.teachers["math"]?.model == "m")
        #expect(configuration.seed == 3)
        #expect(configuration.student.model == "z")
        #expect(problems(minimal, ["training.stps=5"]) == ["--set: training.stps: unknown key; did you mean 'steps'?"])
        #expect(problems(minimal, ["training.steps"]) == ["--set: 'training.steps': expected key.path=value"])
        #expect(
            problems(minimal, ["training.steps=x"])
                == ["--set: training.steps: expected an integer from 1 to 1000000000, got 'x'"])
        #expect(problems(minimal, ["training.steps=["]) == ["--set: training.steps: '[' is not a YAML value"])
        #expect(problems(minimal, ["training=1"]).count == 1)
        #expect(problems(minimal, ["=1"]).count == 1)
        #expect(problems(minimal, [".=1"]).count == 1)
    }

    @Test func anOverrideRepairsNothingTheFileGotWrong() {
        #expect(problems(minimal + "\ntraining: { steps: x }", ["training.steps=2"]).count == 1)
    }

    @Test func filesAreLookedUpHereThenBesideTheConfiguration() throws {
        let folder = try TemporaryFolder()
        try folder.write(minimal, "run.yaml")
        for name in ["s", "t", "p.jsonl"] { try folder.write("x", name) }
        let loaded = try RunConfiguration.load("\(folder.path)/run.yaml")
        #expect(loaded.configuration.student.model == "\(folder.path)/s")
        #expect(loaded.configuration.data.prompts == "\(folder.path)/p.jsonl")
        try FileManager.default.removeItem(atPath: "\(folder.path)/p.jsonl")
        let error = #expect(throws: ConfigurationError.self) { try RunConfiguration.load("\(folder.path)/run.yaml") }
        #expect(
            error?.description
                == "\(folder.path)/run.yaml:4: data.prompts: no such file: 'p.jsonl' (looked here and in \(folder.path))"
        )
        _ = try RunConfiguration.load("\(folder.path)/run.yaml", requiring: [.student, .teachers])
        let missing = #expect(throws: ConfigurationError.self) { try RunConfiguration.load("\(folder.path)/none.yaml") }
        #expect(missing?.description == "\(folder.path)/none.yaml: no such file")
    }
}
