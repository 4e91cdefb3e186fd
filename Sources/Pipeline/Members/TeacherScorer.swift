import Distillation
import Engines
import Exchange
import Logging
import Transport
import Wire

/// Grades trajectories with one teacher under lease. It has no state: kill it at will.
package actor TeacherScorer: DeskMember {
    var desk: MemberDesk<ScoreTask>
    private let backend: any ScoringBackend
    private let batchTokens: Int
    private let teacher: String

    /// - Parameters:
    ///   - teachers: names under which prompts ask for this teacher.
    ///   - batchTokens: tokens of the sequences that are graded at once; a longer one is graded alone.
    ///   - window: sequences to hold at once.
    package init(
        options: MemberOptions, teachers: [String], transport: any Transport, backend: any ScoringBackend,
        batchTokens: Int = 4096, window: Int = 64, logger: Logger
    ) {
        self.backend = backend
        self.batchTokens = batchTokens
        teacher = teachers.joined(separator: ", ")
        desk = MemberDesk(
            options, role: .scorer, backend: backend, teachers: teachers, window: window,
            transport: transport, logger: logger)
    }

    /// Works until the learner ends the run, refuses, or does not answer; throws what the engine throws.
    package func run() async throws -> MemberEnd { try await serve() }

    /// Leaves the run: the learner issues what is held here again at once.
    package func stop(_ reason: String) { desk.stop(reason) }

    func work() async throws {
        while desk.end == nil {
            if let failure = desk.failure { throw failure }
            guard !desk.queue.isEmpty else {
                await withCheckedContinuation { desk.wait($0) }
                continue
            }
            let batch = takeBatch()
            desk.active = Set(batch.map(\.item))
            desk.cancelled = []
            desk.progress()
            let grades = try await backend.score(batch)
            desk.progress()
            desk.active = []
            try check(grades, batch)
            let scores = zip(batch, grades).filter { !desk.cancelled.contains($0.0.item) }
                .map { Score(id: $0.0.id, kind: $0.0.kind, logprobs: $0.1) }
            desk.rate.add(scores.reduce(0) { $0 + $1.logprobs.count })
            desk.complete(scores)
        }
    }

    /// The first tasks in order of their ids, so that the samples of a prompt are neighbours.
    private func takeBatch() -> [ScoreTask] {
        desk.queue.sort { $0.item < $1.item }
        var tokens = 0
        var count = 0
        for task in desk.queue {
            tokens += task.ids.count
            if count > 0, tokens > batchTokens { break }
            count += 1
        }
        defer { desk.queue.removeFirst(count) }
        return Array(desk.queue.prefix(count))
    }

    private func check(_ grades: [[Float]], _ batch: [ScoreTask]) throws {
        for (task, logprobs) in zip(batch, grades) {
            // What becomes of the step is for the learner to decide, as configured.
            let count = task.ids.count - task.promptCount
            if logprobs.count != count {
                let what = "\(logprobs.count) log-probabilities for the \(count) tokens of rollout \(task.id)"
                desk.logger.warning("teacher '\(teacher)' gave \(what); check the model's files")
            } else if !logprobs.areFinite {
                let what = "a log-probability that is not finite for rollout \(task.id)"
                desk.logger.warning("teacher '\(teacher)' gave \(what); check the model's files, or try dtype: f32")
            }
        }
        guard grades.count == batch.count else { throw MemberError("teacher '\(teacher)' graded too few sequences") }
    }

    var status: (state: String, version: UInt64) {
        (desk.active.isEmpty ? "waiting for work" : "grading \(desk.active.count)", 0)
    }

    func followWeights(_ action: MemberSession<ScoreTask>.Action) {
        // It has a teacher's weights, which are nobody's to change.
    }

    func closeDown() {}
}
