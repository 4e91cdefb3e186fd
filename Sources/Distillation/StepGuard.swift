/// What a run does with a step that would spoil the student.
package struct StepGuard: Sendable, Equatable {
    /// What becomes of a bad step.
    package enum Reaction: String, Sendable, CaseIterable {
        /// The batch is given up, and the run goes on with the next.
        case skip
        /// The run ends with an error.
        case stop
    }

    package var reaction: Reaction
    /// Bad steps in a row after which the run ends, though each could be skipped.
    package var limitInARow: Int
    /// Largest mean of b - t a token, in nats, that is trained on; 0: any.
    package var klLimit: Double
    /// Share of a batch's responses that may be empty; 1: all.
    package var emptyLimit: Double

    package init(reaction: Reaction = .skip, limitInARow: Int = 3, klLimit: Double = 0, emptyLimit: Double = 1) {
        self.reaction = reaction
        self.limitInARow = limitInARow
        self.klLimit = klLimit
        self.emptyLimit = emptyLimit
    }

    /// What is wrong with a batch before anything is computed from it; nil: nothing.
    package func flaw(in batch: [ScoredTrajectory]) -> StepFlaw? {
        // What a teacher sampled says nothing of the student's weights.
        let sampler = batch.lazy.compactMap(\.sampler).first
        let unsampled = batch.filter { !$0.trajectory.behaviourLogprobs.areFinite }
        if !unsampled.isEmpty {
            let whose = sampler.map { "teacher '\($0)''s" } ?? "the student's"
            return StepFlaw(
                sampler == nil ? .brokenStudent : .notFinite,
                "\(whose) own log-probabilities of \(unsampled.count) of \(batch.count) trajectories are not "
                    + "finite: its weights are unusable", unsampled)
        }
        let ungraded = batch.filter { !$0.isFinite }
        if let first = ungraded.first {
            return StepFlaw(
                .notFinite,
                "\(ungraded.count) of \(batch.count) trajectories have grades that are not finite, the first of teacher "
                    + "'\(first.trajectory.teacher ?? "")'", ungraded)
        }
        let empty = batch.filter(\.trajectory.isEmpty)
        if Double(empty.count) > emptyLimit * Double(batch.count) {
            let who = sampler.map { "teacher '\($0)' answers nothing" } ?? "the student has stopped answering"
            return StepFlaw(
                sampler == nil ? .collapse : .silentTeacher,
                "\(empty.count) of \(batch.count) responses are empty: \(who)", empty)
        }
        var statistics = BatchStatistics()
        for scored in batch { statistics.add(scored, version: scored.trajectory.policyVersions.newest ?? 0) }
        if klLimit > 0, statistics.teacherKL > klLimit {
            let worst = batch.sorted { ($1.teacherKL, $0.trajectory.id) < ($0.teacherKL, $1.trajectory.id) }
            return StepFlaw(
                .divergence,
                "the divergence from the teacher is \(statistics.teacherKL) nats a token, above the limit of \(klLimit)",
                worst)
        }
        return nil
    }

    /// What is wrong with a step whose gradient is there and whose update is not done; nil: nothing.
    package static func flaw(loss: Double, gradNorm: Double, batch: [ScoredTrajectory]) -> StepFlaw? {
        guard !loss.isFinite || !gradNorm.isFinite else { return nil }
        return StepFlaw(.notFinite, "the loss is \(loss) and the gradient's norm \(gradNorm)", batch)
    }

    /// Whether the run ends with a bad step.
    /// - Parameter inARow: bad steps since the last good one, this one included.
    package func ends(inARow: Int) -> Bool { reaction == .stop || inARow >= limitInARow }
}

/// Why a step must not be taken.
package struct StepFlaw: Sendable, Equatable {
    /// What is wrong with the step.
    package enum Kind: Sendable {
        /// A grade, the loss or the gradient is no number.
        case notFinite
        /// The student does not know how probable its own tokens are.
        case brokenStudent
        /// The student has moved too far from the teacher.
        case divergence
        /// The student answers nothing.
        case collapse
        /// The teacher that is imitated answers nothing.
        case silentTeacher
    }

    package var kind: Kind
    /// One line for a person.
    package var text: String
    /// Trajectories worth a look, the worst first; a bounded number.
    package var offenders: [ScoredTrajectory]

    static let offendersKept = 16

    /// - Parameter offenders: of which the first are kept.
    package init(_ kind: Kind, _ text: String, _ offenders: [ScoredTrajectory]) {
        self.kind = kind
        self.text = text
        self.offenders = Array(offenders.prefix(Self.offendersKept))
    }

    /// Whether the student's present weights are to blame: then they must not replace an older checkpoint.
    package var blamesWeights: Bool { kind != .notFinite && kind != .silentTeacher }
}

extension Trajectory {
    /// Whether the response says nothing: no token, or none but the one that stops it.
    package var isEmpty: Bool { responseIDs.isEmpty || (responseIDs.count == 1 && finishReason == .stop) }
}

extension ScoredTrajectory {
    /// Whether every log-probability of student and teacher is a number.
    package var isFinite: Bool {
        trajectory.behaviourLogprobs.areFinite && teacherLogprobs.areFinite && top?.areFinite ?? true
            && lists.allSatisfy(\.top.areFinite) && hidden?.areFinite ?? true
    }

    /// Mean of b - t over the response's tokens.
    var teacherKL: Double {
        let values = reverseKL(policy: trajectory.behaviourLogprobs, teacher: teacherLogprobs)
        return values.reduce(0, +) / Double(max(values.count, 1))
    }
}
