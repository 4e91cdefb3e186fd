import Configuration
import Testing

@Suite struct ChangesTests {
    private func configuration(_ change: (inout RunConfiguration) -> Void = { _ in }) -> RunConfiguration {
        var configuration = RunConfiguration()
        configuration.name = "a"
        configuration.student.model = "models/student"
        configuration.teachers["default"] = .init()
        configuration.teachers["default"]?.model = "models/teacher"
        configuration.data.prompts = "prompts.jsonl"
        change(&configuration)
        return configuration
    }

    private func refused(
        _ continuation: RunConfiguration.Continuation, _ change: (inout RunConfiguration) -> Void
    ) -> [String] { configuration(change).refusedChanges(since: configuration(), to: continuation) }

    @Test(arguments: RunConfiguration.Continuation.allCases) func nothingChanged(_ how: RunConfiguration.Continuation) {
        #expect(refused(how) { _ in } == [])
    }

    @Test func aResumedRunStaysItself() {
        #expect(
            refused(.resume) {
                $0.training.learningRate = 0.5
                $0.pipeline.maxStaleness = 2
                $0.objective.loss = .ppoClip
            } == [
                "objective.loss is ppo_clip now and was importance_sampling",
                "training.learning_rate is 0.5 now and was 0.0001", "pipeline.max_staleness is 2 now and was 0",
            ])
        #expect(
            refused(.resume) {
                $0.pipeline.workers = 7
                $0.pipeline.scorers = 3
                $0.pipeline.leaseSeconds = 5
                $0.security.scorerKey = "keys/another.key"
                $0.checkpoint.every = 1
                $0.training.steps = 7
                $0.training.onBadStep = .stop
                $0.student.model = "/elsewhere/base"
            } == [])
        #expect(refused(.resume) { $0.teachers["default"]?.model = "/elsewhere/teacher" } == [])
        #expect(
            refused(.resume) { $0.teachers["default"]?.model = "models/other" }
                == ["teachers.default.model is models/other now and was models/teacher"])
        #expect(
            refused(.resume) { $0.teachers["math"] = .init() }.first
                == "teachers.math.model is '' now and was not given")
    }

    /// Adapters, and the optimizer's moments, have the shape that the run began with.
    @Test func adaptersStayWhatTheyAre() {
        for how in RunConfiguration.Continuation.allCases {
            #expect(
                refused(how) {
                    $0.lora.rank = 8
                    $0.lora.alpha = 16
                    $0.lora.targets = ["q_proj"]
                } == [
                    "lora.rank is 8 now and was 0", "lora.alpha is 16 now and was 32",
                    "lora.targets is [q_proj] now and was all",
                ])
        }
        #expect(refused(.resume) { $0.lora.seed = 2 } == ["lora.seed is 2 now and was 1"])
    }

    @Test func aForkKeepsItsPlaceInThePrompts() {
        #expect(
            refused(.fork) {
                $0.training.learningRate = 0.5
                $0.pipeline.maxStaleness = 2
                $0.teachers["default"]?.model = "models/other"
                $0.sampling.maxTokens = 5
            } == [])
        #expect(
            refused(.fork) {
                $0.seed = 9
                $0.data.promptsPerStep = 3
            } == ["seed is 9 now and was 1", "data.prompts_per_step is 3 now and was 8"])
    }
}
