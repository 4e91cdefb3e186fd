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

    @Test func aResumedRunMayChangeItsEngines() throws {
        let old = try read("{ model: m }")
        let new = try read("{ model: m, engine: torch }", "rollout: { engine: torch }\ntorch: { device: cpu }")
        #expect(new.refusedChanges(since: old, to: .resume) == [])
    }
}
