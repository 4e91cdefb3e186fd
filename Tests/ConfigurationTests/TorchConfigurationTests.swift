import Configuration
import Testing

/// Models that torch computes, in a configuration.
@Suite struct TorchConfigurationTests {
    private func read(_ teacher: String, _ more: String = "") throws -> RunConfiguration {
        let text = "name: a\nstudent: { model: s }\nteachers: { default: \(teacher) }\ndata: { prompts: p }\n\(more)"
        return try RunConfiguration.parse(text, source: "c", requiring: []).configuration
    }

    private func problems(_ teacher: String, _ more: String = "") -> String {
        do {
            _ = try read(teacher, more)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func everyRoleChoosesItsEngine() throws {
        let configuration = try read(
            "{ model: m, engine: torch }", "rollout: { engine: torch }\ntorch: { cache: 0.25, processes: 2 }")
        #expect(configuration.teachers["default"]?.engine == .torch && configuration.student.engine == .native)
        #expect(configuration.rollout.engine == .torch)
        #expect(configuration.torch.cache == 0.25 && configuration.torch.processes == 2)
        for marking in [false, true] {
            let again = try RunConfiguration.parse(
                configuration.yaml(markingDefaults: marking), source: "c", requiring: [])
            #expect(again.configuration == configuration)
        }
    }

    @Test func whatTorchCannotDoIsRefused() {
        let off = "objective: { kind: off_policy }"
        #expect(problems("{ model: m, engine: torch }", off) == "")
        #expect(problems("{ model: m }", "rollout: { engine: torch }\n\(off)").contains("engine: torch"))
        let served = "{ server: { urls: http://h }, tokenizer: t, engine: torch }"
        #expect(problems(served).contains("teachers.default.engine: servers have this teacher"))
        #expect(problems("{ model: m }", "torch: { cache: 1 }").contains("torch.cache"))
        #expect(problems("{ model: m, engine: jax }").contains("expected one of native, torch"))
    }

    @Test func wholeDistributionsAreRefused() {
        for divergence in ["reverse_kl", "forward_kl", "jsd", "skew_kl", "skew_reverse_kl"] {
            let more = "objective: { divergence: \(divergence) }\nstudent: { model: s, engine: torch }"
            let text = "name: a\nteachers: { default: { model: m, engine: torch } }\ndata: { prompts: p }\n\(more)"
            let found = #expect(throws: (any Error).self) {
                try RunConfiguration.parse(text, source: "c", requiring: [])
            }
            for key in ["student.engine: torch trains on", "teachers.default.engine: torch grades"] {
                #expect(found.map { "\($0)" }?.contains(key) == true, "\(divergence)")
            }
        }
    }

    /// A matrix that only another family has.
    @Test func adaptersOfOtherFamiliesAreTorchsAlone() throws {
        let lora = "lora: { rank: 4, targets: [dense, q_proj] }"
        let refusal = problems("{ model: m }", lora)
        #expect(refusal.contains("lora.targets: engine native has adapters of q_proj, "), "\(refusal)")
        #expect(refusal.contains("not of 'dense'"), "\(refusal)")
        #expect(problems("{ model: m }", "lora: { rank: 4, targets: [qproj] }").contains("did you mean 'q_proj'?"))
        let text = "name: a\nstudent: { model: s, engine: torch }\nteachers: { default: { model: m } }\n"
        let parsed = try RunConfiguration.parse(
            text + "data: { prompts: p }\n" + lora, source: "c", requiring: [])
        #expect(parsed.configuration.lora.targets == ["q_proj", "dense"])
        #expect(problems("{ model: m }", "lora: { targets: ['a b'] }").contains("expected all, or a list"))
    }

    @Test func aResumedRunMayChangeItsEngines() throws {
        let old = try read("{ model: m }")
        let new = try read("{ model: m, engine: torch }", "rollout: { engine: torch }\ntorch: { device: cpu }")
        #expect(new.refusedChanges(since: old, to: .resume) == [])
    }
}
