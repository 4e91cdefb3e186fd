import Configuration
import Models
import NativeEngine
import Pipeline

/// Everything of a run's setting up that needs an engine.
extension RunSetup {
    /// The student's files.
    typealias Student = ModelFiles

    static func openStudent(_ configuration: RunConfiguration) throws -> Student {
        try ModelFiles.open(configuration.student.model)
    }

    static func loadTrainer(_ configuration: RunConfiguration, _ student: Student) throws -> StudentTrainer {
        try StudentTrainer(
            student, type: configuration.student.elementType, threads: configuration.pipeline.threadCount,
            options: configuration.training.optimizerOptions, tokenBudget: configuration.training.tokenBudget,
            adapters: try configuration.adapters(of: student))
    }

    /// What evaluates in the learner's process; nil where a run is not evaluated.
    func evaluator() throws -> HeldoutEvaluator? {
        guard configuration.evaluation.every > 0, !data.heldout.isEmpty else { return nil }
        return HeldoutEvaluator(
            sampler: try StudentSampler(
                student, type: configuration.student.elementType, slots: configuration.pipeline.slots,
                threads: configuration.pipeline.threadCount, adapters: try configuration.adapters(of: student)?.layout),
            judge: ResponseJudge(data.tokenizer, logger: logger))
    }

    /// The pass rate of the teachers on the held-out prompts; nil where the configuration does not ask for it.
    func teacherPassRate() throws -> Double? {
        guard configuration.evaluation.teachers else { return nil }
        progress.activity("asking the teachers")
        return try HeldoutAnswers(configuration, data).teacherPassRate()
    }

    var vocabularySize: Int { student.configuration.vocabularySize }
}
