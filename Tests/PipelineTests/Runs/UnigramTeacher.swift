import Distillation
import Engines
import Wire

/// A scorer's engine whose teachers are unigram models, by name.
actor UnigramTeacher: ScoringBackend {
    nonisolated let tokenizerFingerprint: String
    nonisolated let preferredBatch = ScoringBatch(tokens: 4096, tasks: 64)
    private let spoils: @Sendable (WorkItem) -> Bool
    private let missing: Int

    /// - Parameters:
    ///   - missing: grades that it leaves out at the end of every response.
    ///   - spoils: the rollouts for which it gives no number.
    init(
        tokenizer: String = "unigram", missing: Int = 0,
        spoils: @escaping @Sendable (WorkItem) -> Bool = { _ in false }
    ) {
        tokenizerFingerprint = tokenizer
        self.missing = missing
        self.spoils = spoils
    }

    func score(_ tasks: [ScoreTask]) -> [[Float]] {
        tasks.map { task in
            let logprobs = UnigramModel.teacher(task.teacher).logprobs()
            let spoilt = spoils(WorkItem(id: task.id, kind: task.kind))
            return task.ids[task.promptCount...].dropLast(missing).map { spoilt ? .nan : logprobs[Int($0)] }
        }
    }

    nonisolated let mostTopTokens = UnigramModel.vocabulary

    func grade(_ tasks: [ScoreTask]) -> [Grade] {
        zip(tasks, score(tasks)).map { task, logprobs in
            let count = task.request.topCount
            let top = UnigramModel.teacher(task.teacher).top(count)
            let positions = logprobs.indices
            return Grade(
                logprobs: logprobs,
                top: count == 0
                    ? nil
                    : TopTokens(
                        count: count, ids: positions.flatMap { _ in top.ids },
                        logprobs: positions.flatMap { _ in top.logprobs.dropLast() },
                        tails: positions.map { _ in top.logprobs[count] }))
        }
    }
}
