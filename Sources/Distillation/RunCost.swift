/// Floating-point operations since the start of a run, by what they were spent on: multiplications and additions of
/// matrix products and attention, as the formulas count them.
///
/// Every trajectory counts for itself, as if nothing that prompts have in common were shared, and evaluations do not
/// count. So the figures compare methods, not machines or caches, and are the same for any number of workers.
package struct RunCost: Sendable, Equatable, Codable {
    /// Operations of whoever samples the responses of the batches: the student, or the teachers that it imitates.
    package var sampling: Double
    /// Operations of teachers that grade the responses.
    package var scoring: Double
    /// Operations of the student's forward and backward passes in training.
    package var training: Double

    package init(sampling: Double = 0, scoring: Double = 0, training: Double = 0) {
        self.sampling = sampling
        self.scoring = scoring
        self.training = training
    }

    package var total: Double { sampling + scoring + training }
}

/// What passes over sequences cost the models of a run.
package struct CostModel: Sendable {
    /// Operations of a forward pass over a prompt and a response of so many tokens, with the head on the response.
    package typealias Forward = @Sendable (_ prompt: Int, _ response: Int) -> Double

    package var student: Forward
    /// Operations of the student's forward and backward pass: three forward passes, unless it is given.
    package var training: Forward
    package var teachers: [String: Forward]

    package init(student: @escaping Forward, training: Forward? = nil, teachers: [String: Forward] = [:]) {
        self.student = student
        self.training = training ?? { 3 * student($0, $1) }
        self.teachers = teachers
    }

    /// The teachers that sampled or graded trajectories of a batch, and of which it is not known what passes cost.
    package func unknownTeachers(of batch: [ScoredTrajectory]) -> Set<String> {
        var asked: Set<String> = []
        for scored in batch { asked.formUnion(scored.readings.map(\.label)) }
        return asked.filter { teachers[$0] == nil }
    }

    /// Adds a batch that was sampled, by the student or a teacher, and, where teachers grade, graded.
    /// - Parameter isTrained: false for one that was given up.
    package func add(_ batch: [ScoredTrajectory], isTrained: Bool, to cost: inout RunCost) {
        for scored in batch {
            let prompt = scored.trajectory.promptIDs.count, response = scored.trajectory.responseIDs.count
            let taught = scored.readings.reduce(0) {
                $0 + (teachers[$1.label]?($1.promptCount, $1.responseCount ?? response) ?? 0)
            }
            cost.sampling += scored.sampler == nil ? student(prompt, response) : taught
            if isTrained { cost.training += training(prompt, response) }
            if scored.sampler == nil { cost.scoring += taught }
        }
    }

    /// Adds a batch of given responses.
    package func add(_ examples: [SupervisedExample], to cost: inout RunCost) {
        for example in examples { cost.training += training(example.promptIDs.count, example.responseIDs.count) }
    }
}

/// What a run aims at: it ends at the first evaluation that has it.
package struct RunTarget: Sendable, Equatable {
    /// Share of held-out responses that pass; 0: none.
    package var passRate: Double
    /// Held-out reverse KL in nats a token; 0: none.
    package var teacherKL: Double

    package init(passRate: Double = 0, teacherKL: Double = 0) {
        self.passRate = passRate
        self.teacherKL = teacherKL
    }

    /// A sentence on the part of the target that an evaluation reaches; nil: it reaches none.
    package func reached(by evaluation: EvaluationMetrics) -> String? {
        if passRate > 0, let rate = evaluation.passRate, rate >= passRate {
            return "pass@1 \(rate) has reached \(passRate)"
        }
        if teacherKL > 0, let kl = evaluation.teacherKL, kl <= teacherKL {
            return "the divergence \(kl) has reached \(teacherKL)"
        }
        return nil
    }
}
