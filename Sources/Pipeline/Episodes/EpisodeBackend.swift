import Distillation
import Engines
import Wire

/// A sampler of episodes: over one of turns, which it asks for every turn of every episode.
///
/// The engine below must take tasks that begin at a later position (`RolloutTask.firstPosition`), and calls that come
/// beside one another, as an actor does.
package actor EpisodeBackend: RolloutBackend {
    private let sampler: any RolloutBackend
    private let settings: EpisodeSettings
    private let text: EpisodeText
    private var episodes: [WorkItem: Episode] = [:]
    package nonisolated let events: AsyncThrowingStream<SamplingEvent, any Error>
    private let continuation: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    private var following: Task<Void, Never>?

    package nonisolated let tokenizerFingerprint: String
    package nonisolated let arithmetic: String?
    package nonisolated let isReproducible: Bool
    package nonisolated let weightByteCount: Int?
    package nonisolated let slots: Int
    package nonisolated var trouble: String? { sampler.trouble }

    package init(over sampler: any RolloutBackend, _ settings: EpisodeSettings, _ text: EpisodeText) {
        self.sampler = sampler
        self.settings = settings
        self.text = text
        tokenizerFingerprint = sampler.tokenizerFingerprint
        arithmetic = sampler.arithmetic
        isReproducible = sampler.isReproducible
        weightByteCount = sampler.weightByteCount
        slots = sampler.slots
        (events, continuation) = AsyncThrowingStream.makeStream()
    }

    deinit { following?.cancel() }

    package func replaceWeights(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) async throws {
        try await sampler.replaceWeights(bytes, manifest, version: version)
    }

    package func submit(_ tasks: [RolloutTask]) async throws {
        follow()
        var turns: [RolloutTask] = []
        for task in tasks {
            let episode = Episode(task, settings)
            episodes[WorkItem(id: task.id, kind: task.kind)] = episode
            turns.append(episode.nextTurn)
        }
        try await sampler.submit(turns)
    }

    package func cancel(_ items: Set<WorkItem>) async {
        for item in items { episodes[item] = nil }
        await sampler.cancel(items)
    }

    /// Takes what the sampler tells, from the first task on.
    private func follow() {
        guard following == nil else { return }
        let events = sampler.events, continuation = continuation
        following = Task { [weak self] in
            do {
                for try await event in events {
                    guard let self else { return }
                    try await self.handle(event)
                }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }

    private func handle(_ event: SamplingEvent) async throws {
        guard case .completed(let turns) = event else {
            continuation.yield(event)
            return
        }
        var finished: [Trajectory] = [], next: [RolloutTask] = []
        for turn in turns {
            let item = WorkItem(id: turn.id, kind: turn.kind)
            // One that was cancelled meanwhile is nobody's.
            guard var episode = episodes.removeValue(forKey: item) else { continue }
            if let whole = try episode.take(turn, text) {
                finished.append(whole)
            } else {
                next.append(episode.nextTurn)
                episodes[item] = episode
            }
        }
        continuation.yield(finished.isEmpty ? .progress : .completed(finished))
        if !next.isEmpty { try await sampler.submit(next) }
    }
}
