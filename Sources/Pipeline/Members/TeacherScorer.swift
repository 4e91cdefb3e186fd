import Distillation
import Engines
import Exchange
import Logging
import Transport
import Wire

/// Grades trajectories with one teacher under lease. It has no state: kill it at will.
package actor TeacherScorer: WorkingMember {
    var work: MemberWork<ScoreTask>
    private let backend: any ScoringBackend
    private let teacher: String

    /// - Parameter teachers: names under which prompts ask for this teacher.
    package init(
        options: MemberOptions, teachers: [String], transport: any Transport, backend: any ScoringBackend,
        logger: Logger
    ) {
        self.backend = backend
        let window = backend.preferredBatch.tasks
        teacher = teachers.joined(separator: ", ")
        work = MemberWork(
            options, role: .scorer, backend: backend, teachers: teachers, window: window,
            transport: transport, logger: logger)
    }

    package func run() async throws -> MemberEnd { try await serve() }

    func nextPiece() async throws -> Bool {
        guard !work.queue.isEmpty else { return false }
        let batch = takeBatch()
        work.active = Set(batch.map(\.item))
        work.cancelled = []
        work.progress()
        let grades = try await backend.score(batch)
        work.progress()
        work.active = []
        try check(grades, batch)
        let scores = zip(batch, grades).filter { !work.cancelled.contains($0.0.item) }
            .map { Score(id: $0.0.id, kind: $0.0.kind, logprobs: $0.1) }
        work.rate.add(scores.reduce(0) { $0 + $1.logprobs.count })
        work.complete(scores)
        return true
    }

    /// The first tasks in order of their ids, so that the samples of a prompt are neighbours.
    private func takeBatch() -> [ScoreTask] {
        work.queue.sort { $0.item < $1.item }
        let limit = backend.preferredBatch
        var tokens = 0
        var count = 0
        for task in work.queue {
            tokens += task.ids.count
            if count > 0, tokens > limit.tokens || count == limit.tasks { break }
            count += 1
        }
        defer { work.queue.removeFirst(count) }
        return Array(work.queue.prefix(count))
    }

    private func check(_ grades: [[Float]], _ batch: [ScoreTask]) throws {
        for (task, logprobs) in zip(batch, grades) {
            // What becomes of the step is for the learner to decide, as configured.
            let count = task.ids.count - task.promptCount
            if logprobs.count != count {
                let what = "\(logprobs.count) log-probabilities for the \(count) tokens of rollout \(task.id)"
                work.logger.warning("teacher '\(teacher)' gave \(what); check the model's files")
            } else if !logprobs.areFinite {
                let what = "a log-probability that is not finite for rollout \(task.id)"
                work.logger.warning("teacher '\(teacher)' gave \(what); check the model's files, or try dtype: f32")
            }
        }
        guard grades.count == batch.count else { throw MemberError("teacher '\(teacher)' graded too few sequences") }
    }

    var status: (state: String, version: UInt64) {
        (work.active.isEmpty ? "waiting for work" : "grading \(work.active.count)", 0)
    }

    func followWeights(_ action: MemberSession<ScoreTask>.Action) {
        // It has a teacher's weights, which are nobody's to change.
    }

    func closeDown() {}
}
