import Configuration
import Logging
import Pipeline
import RunFiles
import Telemetry
import Wording

extension RunSetup {
    /// What a person reads at the end: the figures, and some held-out prompts answered before, after and by the teacher.
    func summary(_ outcome: LearnerOutcome, resumeCommand: String) async -> RunSummary {
        let model = outcome.checkpoint.map { $0.path + "/model" }
        var summary = RunSummary(
            name: configuration.name, steps: Int(outcome.version), seconds: outcome.seconds,
            modelPath: model ?? configuration.student.model)
        summary.klBefore = outcome.before?.metrics.teacherKL
        summary.klAfter = outcome.after?.metrics.teacherKL
        summary.crossEntropyBefore = outcome.before?.metrics.crossEntropy
        summary.crossEntropyAfter = outcome.after?.metrics.crossEntropy
        summary.passBefore = outcome.before?.metrics.passRate
        summary.passAfter = outcome.after?.metrics.passRate
        summary.teacherPass = outcome.after?.metrics.teacherPassRate
        if let task = configuration.data.task {
            // 'opd eval' asks for answers of one turn, which episodes are not.
            if !configuration.data.environment.isGiven { summary.task = task }
            summary.question = data.heldout.first?.text
        }
        summary.tokensGenerated = Int(outcome.tokens.generated)
        summary.tokensTrained = Int(outcome.tokens.trained)
        summary.tokensDiscarded = Int(outcome.tokens.discarded)
        summary.cost = outcome.cost
        summary.uncountedTeachers = outcome.uncountedTeachers
        summary.unansweredTeachers = configuration.usedTeachers.keys.filter { models.teachers[$0] == nil }.sorted()
        if case .reached(let text) = outcome.end { summary.reached = text }
        switch outcome.end {
        case .completed, .reached:
            // An answer of one turn says nothing of how episodes end.
            if let model, !configuration.data.environment.isGiven {
                do {
                    summary.examples = try await answers.examples(after: model)
                } catch {
                    // The run itself is done and saved: a missing example is no failure.
                    logger.warning("no example answers: \(error)")
                }
            }
        case .stopped(let reason):
            summary.endedEarly = reason
            summary.resumeCommand = resumeCommand
        }
        return summary
    }
}
