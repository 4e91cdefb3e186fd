import Configuration
import Engines
import Pipeline

/// What a run asks of its engines beside a trainer.
extension RunSetup {
    /// What evaluates in the learner's process; nil where a run is not evaluated.
    func evaluator() async throws -> HeldoutEvaluator? {
        guard configuration.evaluation.every > 0, !data.heldout.isEmpty else { return nil }
        let student = configuration.studentReference
        return HeldoutEvaluator(
            sampler: try await engines.factory(for: student).evaluator(student, configuration.samplerOptions),
            judge: ResponseJudge(data.tokenizer, logger: logger))
    }

    /// The pass rate of the teachers on the held-out prompts; nil where the configuration does not ask for it.
    func teacherPassRate() async throws -> Double? {
        guard configuration.evaluation.teachers else { return nil }
        progress.activity("asking the teachers")
        return try await answers.teacherPassRate()
    }

    /// Answers held-out prompts outside the pipeline.
    var answers: HeldoutAnswers { HeldoutAnswers(configuration, models, data, engines) }
}
