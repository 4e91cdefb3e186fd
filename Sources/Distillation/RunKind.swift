/// What a student learns from, by the name that the configuration gives it.
package enum ObjectiveKind: String, Sendable, CaseIterable {
    /// Teachers' grades of its own responses.
    case distillation
    /// Verifiers' rewards of its own responses.
    case reinforcement
    /// Teachers' grades and verifiers' rewards of its own responses.
    case mixed
    /// Teachers' responses, which it imitates.
    case offPolicy = "off_policy"
    /// Given responses, which it imitates.
    case supervised

    /// Who does what in such a run: the only place where it follows from the name.
    package var run: RunKind {
        switch self {
        case .distillation: RunKind(sampler: .student, grader: .teachers)
        case .reinforcement: RunKind(sampler: .student, usesReward: true)
        case .mixed: RunKind(sampler: .student, grader: .teachers, usesReward: true)
        case .offPolicy: RunKind(sampler: .teachers, evaluator: .learner)
        case .supervised: RunKind(sampler: .nobody, evaluator: .learner)
        }
    }
}

/// Who does what in a run. Each process is handed the part that concerns it.
package struct RunKind: Sendable, Equatable {
    /// Who samples the responses that the student learns from.
    package enum Sampler: Sendable {
        case student, teachers
        /// Responses are given, so that no workers are needed.
        case nobody
    }

    /// Who grades the responses, token by token.
    package enum Grader: Sendable { case teachers, nobody }

    /// Who answers the held-out prompts.
    package enum Evaluator: Sendable {
        /// Workers and scorers, as they do in training.
        case members
        /// The learner's own process: no worker has the student.
        case learner
    }

    package let sampler: Sampler
    package let grader: Grader
    /// Whether verifiers' rewards are trained on.
    package let usesReward: Bool
    package let evaluator: Evaluator

    package init(
        sampler: Sampler, grader: Grader = .nobody, usesReward: Bool = false, evaluator: Evaluator = .members
    ) {
        self.sampler = sampler
        self.grader = grader
        self.usesReward = usesReward
        self.evaluator = evaluator
    }

    /// Whether teachers take part.
    package var hasTeachers: Bool { grader == .teachers || sampler == .teachers }
    /// Whether responses are imitated: the student samples none of them.
    package var imitates: Bool { sampler != .student }
}
