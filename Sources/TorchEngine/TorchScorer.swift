import Engines
import Locking
import Wire

/// The scorer's engine in processes of torch.
package actor TorchScorer: ScoringBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var isReproducible: Bool { false }
    /// A GPU wants many tokens at once.
    package nonisolated let preferredBatch = ScoringBatch(tokens: 16_384, tasks: 256)
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let session: TorchSession
    private let processes: Int

    /// Starts the processes and has them load the model.
    init(_ model: ModelReference, _ reference: TorchReference, _ options: ScorerOptions) throws {
        let (model, session) = try TorchModel.started(model, reference, use: .score, threads: options.threads)
        tokenizerFingerprint = model.tokenizerFingerprint
        processes = reference.processes
        self.session = session
        executor = PinnedThreadExecutor(name: "torch")
    }

    package func score(_ tasks: [ScoreTask]) throws -> [[Float]] {
        // A response may be empty, and then there is nothing to ask.
        let places = tasks.indices.filter { !tasks[$0].responseIDs.isEmpty }
        let sequences = places.map { TrainingBatch.Sequence(tasks[$0].tokens, temperature: 1, isDrawn: true) }
        let batch = TorchBatch(
            tokenCounts: places.map { tasks[$0].tokens.count }, tokenBudget: preferredBatch.tokens / processes + 1,
            ranks: processes)
        return try session.attempt { generation in
            var results = [[Float]](repeating: [], count: tasks.count)
            for pass in batch.passes {
                let members = sequences[pass.sequences]
                let count = members.reduce(0) { $0 + $1.responseIDs.count }
                let answer = try session.call(TorchMessage("score", members, rankCounts: pass.rankCounts), generation)
                let all = try answer.floats("logprobs", count: count)
                var start = 0
                for (index, sequence) in zip(members.indices, members) {
                    results[places[index]] = Array(all[start..<start + sequence.responseIDs.count])
                    start += sequence.responseIDs.count
                }
            }
            return results
        }
    }
}
