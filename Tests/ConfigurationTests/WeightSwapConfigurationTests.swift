import Configuration
import Testing

/// New weights while sequences run, in a configuration.
@Suite struct WeightSwapConfigurationTests {
    private func read(_ more: String) throws -> RunConfiguration {
        let text = "name: a\nstudent: { model: s }\nteachers: { default: { model: t } }\ndata: { prompts: p }\n\(more)"
        return try RunConfiguration.parse(text, source: "c", requiring: []).configuration
    }

    @Test func isReadAndWrittenBack() throws {
        #expect(try read("").pipeline.weightSwap == .betweenTokens && read("").pipeline.swapCache == .keep)
        let configuration = try read("pipeline: { swap_cache: recompute }")
        #expect(configuration.pipeline.swapCache == .recompute)
        let again = try RunConfiguration.parse(configuration.yaml(), source: "c", requiring: [])
        #expect(again.configuration == configuration)
        #expect(try read("pipeline: { weight_swap: between_sequences }").pipeline.weightSwap == .betweenSequences)
    }

    @Test(arguments: [
        ("pipeline: { weight_swap: between_sequences, swap_cache: recompute }", "no sequence is under way"),
        ("pipeline: { swap_cache: recompute }\nrollout: { engine: torch }", "rollout.engine torch keeps"),
        ("pipeline: { swap_cache: recompute }\nobjective: { kind: off_policy }", "the student does not sample"),
        (
            "pipeline: { swap_cache: recompute }\n"
                + "rollout: { engine: server, server: { url: \"http://127.0.0.1:8000\" } }",
            "rollout.engine server keeps"
        ),
    ]) func whatCannotBeIsRefusedByName(more: String, words: String) {
        do {
            _ = try read(more)
            Issue.record("\(more) is taken")
        } catch {
            #expect("\(error)".contains("pipeline.swap_cache: ") && "\(error)".contains(words), "\(error)")
        }
    }
}
