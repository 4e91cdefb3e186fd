import Configuration
import Foundation
import Testing

/// What is printed, warned of and known of every key.
extension ConfigurationReaderTests {
    @Test func printedConfigurationReadsBackEqual() throws {
        let configuration = try parse(
            minimal + "\nrun_folder: 'my runs/it''s #1'\nobjective: { loss: truncated_importance_sampling }",
            [
                "training.learning_rate=3.3333e-7", "teachers.b-2.model=x/y", "teachers.b-2.dtype=f32",
                "pipeline.allow_plaintext=true",
            ])
        let text = configuration.yaml()
        #expect(try parse(text) == configuration)
        #expect(try parse(configuration.yaml(markingDefaults: true)) == configuration)
        #expect(configuration.yaml(markingDefaults: true).contains("  steps: 100  # default\n"))
        #expect(!configuration.yaml(markingDefaults: true).contains("learning_rate: 3.3333e-07  # default"))
        for tricky in ["true", "12", "", "a: b", "- x", "#", "\t", "é", "null", "~", "'", "\"\n"] where !tricky.isEmpty
        {
            var changed = configuration
            changed.student.model = tricky
            #expect(try parse(changed.yaml()) == changed, "\(tricky)")
        }
    }

    @Test func targetsOfAdaptersAreAListOrAll() throws {
        #expect(try parse(minimal).lora == RunConfiguration.LoRA())
        let given = try parse(minimal + "\nlora: { rank: 8, alpha: 16, targets: [v_proj, q_proj], seed: 3 }")
        #expect(given.lora.rank == 8 && given.lora.alpha == 16 && given.lora.targets == ["q_proj", "v_proj"])
        #expect(given.yaml().contains("lora:\n  rank: 8\n  alpha: 16\n  targets: [q_proj, v_proj]\n  seed: 3\n"))
        #expect(try parse(given.yaml()) == given)
        #expect(try parse(minimal, ["lora.targets=[down_proj]"]).lora.targets == ["down_proj"])
        #expect(try parse(minimal, ["lora.targets=down_proj"]).lora.targets == ["down_proj"])
        #expect(try parse(minimal, ["lora.targets=[up_proj]", "lora.targets=all"]).lora.targets == [])
        let all = "[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, qkv_proj, gate_up_proj]"
        #expect(try parse(minimal, ["lora.targets=\(all)"]).lora.targets == [], "as all")
        let expected =
            "--set: lora.targets: expected all, or a list of some of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
            + "down_proj, qkv_proj, gate_up_proj, or of other names"
        #expect(problems(minimal, ["lora.targets=[]"]) == ["\(expected), got an empty list"])
        #expect(problems(minimal, ["lora.targets=[[q_proj]]"]) == [expected])
        #expect(problems(minimal, ["lora.targets={q_proj: 1}"]) == [expected])
        #expect(
            problems(minimal, ["lora.targets=[q_proj, q_proj]"]) == ["--set: lora.targets: 'q_proj' is given twice"])
        #expect(problems(minimal, ["training.steps=[1]"]).count == 1, "a list is no number")
        #expect(problems(minimal, ["lora.alpha=0"]).first?.contains("expected a number above 0") == true)
        #expect(problems(minimal, ["lora.rank=-1"]).first?.contains("lora.rank: expected an integer") == true)
        #expect(problems(minimal, ["lora.rnak=1"]).first?.contains("did you mean 'rank'?") == true)
        #expect(
            problems(
                "name: a\nshape: { layers: 1 }\nobjective: { kind: supervised }\ndata: { task: 'arithmetic:digits=1' }",
                ["lora.rank=2"]) == [
                    "--set: lora.rank: a model from scratch has nothing to adapt: with shape.layers leave it out"
                ])
    }

    @Test func theSchemaCoversEveryStoredValue() throws {
        // A value changed in any key must survive printing; a key that reads one place and writes another does not.
        for key in ConfigurationSchema.keys where !key.path.contains("*") {
            var configuration = try parse(minimal)
            let changed: ConfigurationValue =
                switch key.read(configuration, "") {
                case .integer(let value): .integer(value + 1)
                case .number(let value): .number(value + 0.25)
                case .flag(let value): .flag(!value)
                case .names: .names(["q_proj"])
                case .list(let value): .list(value + ["http://h"])
                case .mapping: .mapping("{\"enable_thinking\":false}")
                case .text(let value):
                    if case .choice(let names) = key.kind { .text(names[names.count - 1]) } else { .text(value + "x") }
                }
            key.write(&configuration, "", changed)
            #expect(key.read(configuration, "") == changed, "\(key.path)")
        }
    }

    @Test func settingsThatAreProbablyNotMeantAreWarnedOf() throws {
        func warnings(_ overrides: [String]) throws -> [String] {
            try RunConfiguration.parse(
                minimal + "\nevaluation: { every: 0 }", source: "run.yaml", overrides: overrides, requiring: []
            ).warnings
        }
        #expect(try warnings([]) == [])
        #expect(try warnings(["sampling.top_p=0.9"]).first?.hasPrefix("sampling.top_p: ") == true)
        #expect(try warnings(["sampling.temperature=0.7"]).count == 1)
        #expect(try warnings(["pipeline.max_staleness=2"]).count == 2)
        #expect(
            try warnings(["pipeline.max_staleness=2", "objective.loss=ppo_clip", "objective.advantage=current"]) == [])
        let imitation = ["objective.kind=off_policy"]
        #expect(
            try warnings(
                imitation + ["sampling.top_p=0.9", "sampling.temperature=0.7", "pipeline.max_staleness=2"]) == [])
        #expect(
            try warnings(imitation + ["evaluation.stop_at_kl=0.1"]).first?.hasPrefix("evaluation.stop_at_kl") == true)
        #expect(try warnings(["evaluation.stop_at_kl=0.1"]) == [])
        #expect(try warnings(["evaluation.every=5"]).first?.hasPrefix("data.heldout: ") == true)
        #expect(try warnings(["training.warmup_steps=100"]).count == 1)
    }

    @Test func editDistanceCountsASwapOnce() {
        #expect(editDistance("", "") == 0)
        #expect(editDistance("abc", "") == 3)
        #expect(editDistance("setps", "steps") == 1)
        #expect(editDistance("kitten", "sitting") == 3)
        #expect(nearestName(to: "setps", among: ["steps", "seed"]) == "steps")
        #expect(nearestName(to: "zzz", among: ["steps", "seed"]) == nil)
    }
}
