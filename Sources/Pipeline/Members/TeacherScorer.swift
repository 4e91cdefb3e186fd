import Distillation
import Engines
import Exchange
import Logging
import Transport
import Wire

/// Grades trajectories with one teacher under lease. It has no state: kill it at will.
///
/// A teacher that is an earlier version of the student gets its weights from the learner, and each task names the
/// version that grades it.
package actor TeacherScorer: WorkingMember {
    var work: MemberWork<ScoreTask>
    private let backend: any ScoringBackend
    private let teacher: String
    /// The teacher's model where its weights are the student's of an earlier step, and what is known of them.
    private let model: (any WeightTaking)?
    private var weights: WeightFollower
    /// Batches under way.
    private var grading = 0

    /// - Parameters:
    ///   - teachers: names under which prompts ask for this teacher.
    ///   - model: what takes the student's weights, as the learner sends them; nil: the teacher never changes.
    package init(
        options: MemberOptions, teachers: [String], transport: any Transport, backend: any ScoringBackend,
        following model: (any WeightTaking)? = nil, logger: Logger
    ) {
        self.backend = backend
        self.model = model
        weights = WeightFollower(transport, byteCount: model?.weightByteCount, logger: logger)
        let window = backend.preferredBatch.tasks * backend.preferredBatch.pieces
        teacher = teachers.joined(separator: ", ")
        work = MemberWork(
            options, role: .scorer, backend: backend, teachers: teachers, window: window,
            mostTopTokens: backend.mostTopTokens, head: backend.sharedHead, followsWeights: model != nil,
            transport: transport,
            logger: logger)
    }

    package func run() async throws -> MemberEnd {
        listenForWeights()
        return try await serve()
    }

    func nextPiece() async throws -> Bool {
        // Not under a batch that is being graded.
        if let model, grading == 0, let (new, life) = weights.takeNext() {
            work.enter(.weights)
            try await model.replaceWeights(new.bytes, new.manifest, version: new.version)
            weights.use(new, of: life)
            return true
        }
        guard grading < backend.preferredBatch.pieces else { return false }
        let batch = takeBatch()
        guard !batch.isEmpty else { return false }
        work.active.formUnion(batch.map(\.item))
        work.enter(stage)
        work.progress()
        guard backend.preferredBatch.pieces > 1 else {
            try await grade(batch)
            return true
        }
        grading += 1
        Task {
            do {
                try await grade(batch)
            } catch {
                work.failure = error
            }
            grading -= 1
            work.wake()
        }
        return true
    }

    private func grade(_ batch: [ScoreTask]) async throws {
        let grades = try await backend.grade(batch)
        work.progress()
        try check(grades, batch)
        let scores = zip(batch, grades).filter { !work.cancelled.contains($0.0.item) }
            .map { Score(id: $0.0.id, kind: $0.0.kind, grade: $0.1) }
        let items = Set(batch.map(\.item))
        work.active.subtract(items)
        work.cancelled.subtract(items)
        work.rate.add(scores.reduce(0) { $0 + $1.logprobs.count })
        work.complete(scores)
    }

    /// The first tasks in order of their ids, so that the samples of a prompt are neighbours.
    private func takeBatch() -> [ScoreTask] {
        // What was cancelled and is granted again waits until its first grading is over.
        let ready = work.queue.filter { task in
            !work.active.contains(task.item) && (task.weightsVersion == nil || task.weightsVersion == weights.version)
        }.sorted { $0.item < $1.item }
        let limit = backend.preferredBatch
        var tokens = 0
        var count = 0
        for task in ready {
            tokens += task.tokens.count
            if count > 0, tokens > limit.tokens || count == limit.tasks { break }
            count += 1
        }
        let batch = Array(ready.prefix(count)), taken = Set(batch.map(\.item))
        work.queue.removeAll { taken.contains($0.item) }
        return batch
    }

    private func check(_ grades: [Grade], _ batch: [ScoreTask]) throws {
        for (task, grade) in zip(batch, grades) {
            // What becomes of the step is for the learner to decide, as configured.
            let count = task.responseIDs.count
            if grade.logprobs.count != count {
                let what = "\(grade.logprobs.count) log-probabilities for the \(count) tokens of rollout \(task.id)"
                work.logger.warning("teacher '\(teacher)' gave \(what); check the model's files")
            } else if !grade.areFinite {
                let what = "a log-probability that is not finite for rollout \(task.id)"
                work.logger.warning("teacher '\(teacher)' gave \(what); check the model's files, or try dtype: f32")
            }
        }
        guard grades.count == batch.count else { throw MemberError("teacher '\(teacher)' graded too few sequences") }
    }

    var stage: Stage { work.active.isEmpty ? .waitingForWork : .scoring }

    var status: (state: String, version: UInt64) {
        let version = model == nil ? 0 : weights.version ?? MemberStatus.noVersion
        return (work.described(stateText, backend), version)
    }

    private var stateText: String {
        if !work.active.isEmpty { return "grading \(work.active.count)" }
        return model != nil && weights.version == nil ? "waiting for weights" : "waiting for work"
    }

    func closeDown() async { await weights.stop() }

    // MARK: Weights

    func followWeights(_ action: MemberSession<ScoreTask>.Action) async {
        // Other teachers' weights are nobody's to change.
        guard model != nil else { return }
        switch action {
        case .weights(let message): await weights.receiver(of: message)?()
        case .forgetWeights:
            weights.forget()
            listenForWeights()
        default: break
        }
    }

    private func listenForWeights() {
        guard model != nil else { return }
        weights.listen { [weak self] in await self?.handle($0) }
    }

    private func handle(_ outcome: WeightFetchOutcome) {
        guard !Task.isCancelled else { return }
        if let error = weights.take(outcome) { work.failure = error }
        work.wake()
    }
}
