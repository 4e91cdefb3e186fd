import Distillation
import Wire

extension RolloutBackend {
    /// Samples tasks while nothing else is sampled.
    /// - Parameter isStopped: asked whenever tokens were drawn.
    /// - Returns: their trajectories, sorted by id; nil when it was stopped.
    package func sample(
        _ tasks: [RolloutTask], isolation: isolated (any Actor)? = #isolation, isStopped: () -> Bool = { false }
    ) async throws -> [Trajectory]? {
        var left = Set(tasks.map { WorkItem(id: $0.id, kind: $0.kind) }), done: [Trajectory] = []
        guard !left.isEmpty else { return [] }
        try await submit(tasks)
        for try await event in events {
            if case .completed(let trajectories) = event {
                done += trajectories.filter { left.remove(WorkItem(id: $0.id, kind: $0.kind)) != nil }
            }
            // What is complete counts, also when the stop comes with its last token.
            if left.isEmpty { return done.sorted { $0.id < $1.id } }
            guard !isStopped() else {
                try await cancelAndWait(for: left)
                return nil
            }
        }
        throw EngineError("the engine ended with \(left.count) of \(tasks.count) responses missing")
    }

    /// Returns when nothing of these comes any more.
    private func cancelAndWait(
        for items: Set<WorkItem>, isolation: isolated (any Actor)? = #isolation
    ) async throws {
        await cancel(items)
        for try await event in events {
            if case .cancelled(let cancelled) = event, cancelled == items { return }
        }
    }

    /// Samples responses outside a run, with the weights it began with and the random numbers of in-run evaluation.
    /// - Parameters:
    ///   - prompts: each with its number, by which its random numbers are drawn, and the tokens that its response has
    ///     room for.
    ///   - samples: of each prompt.
    ///   - seed: of the run.
    /// - Returns: the samples of every prompt, in order.
    package func responses(
        to prompts: [(number: Int, ids: [Int32], room: Int)], samples: Int = 1, _ sampling: SamplingSettings,
        seed: UInt64
    ) async throws -> [[Trajectory]] {
        let tasks = prompts.enumerated().flatMap { place, prompt in
            (0..<samples).map { sample in
                RolloutTask(
                    id: RolloutID(group: UInt64(place), sample: UInt32(sample)), kind: .evaluation,
                    promptIDs: prompt.ids, sampling: sampling.clipped(to: prompt.room),
                    seed: TaskSeed.evaluation(run: seed, prompt: prompt.number), minimumVersion: 0, leaseID: 0)
            }
        }
        let done = try await sample(tasks) ?? []
        return prompts.indices.map { Array(done[$0 * samples..<($0 + 1) * samples]) }
    }
}
