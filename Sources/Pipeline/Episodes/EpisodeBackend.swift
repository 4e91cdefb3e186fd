import Distillation
import Engines
import Environments
import Wire

/// A sampler of episodes: over one of turns, which it asks for every turn of every episode.
///
/// The engine below must take tasks that begin at a later position (`RolloutTask.firstPosition`), and calls that come
/// beside one another, as an actor does.
package actor EpisodeBackend: RolloutBackend {
    private let sampler: any RolloutBackend
    private let settings: EpisodeSettings
    private let world: EpisodeWorld
    private let text: EpisodeText
    private var episodes: [WorkItem: Playing] = [:]
    private var newest: UInt64 = 0
    /// Episodes that a service is asked about.
    private var asking = 0
    private var waiting: Task<Void, Never>?
    package nonisolated let events: AsyncThrowingStream<SamplingEvent, any Error>
    private let continuation: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    private var following: Task<Void, Never>?

    package nonisolated let tokenizerFingerprint: String
    package nonisolated let arithmetic: String?
    package nonisolated let isReproducible: Bool
    package nonisolated let weightByteCount: Int?
    package nonisolated let slots: Int
    package nonisolated var trouble: String? { sampler.trouble }

    /// An episode under way.
    private struct Playing: Sendable {
        let task: RolloutTask
        var episode: Episode
        /// Another one for every episode, and for one that is played again.
        let number: UInt64
        /// The built-in environment; nil: a service answers.
        var environment: (any Environment)?
        /// Whether its environment has failed once, and it is played again.
        var isSecond = false
        /// Whether its service is asked, and has not answered yet.
        var isAsked = false
    }

    package init(
        over sampler: any RolloutBackend, _ settings: EpisodeSettings, in world: EpisodeWorld, _ text: EpisodeText
    ) {
        self.sampler = sampler
        self.settings = settings
        self.world = world
        self.text = text
        tokenizerFingerprint = sampler.tokenizerFingerprint
        arithmetic = sampler.arithmetic
        isReproducible = sampler.isReproducible
        weightByteCount = sampler.weightByteCount
        slots = sampler.slots
        (events, continuation) = AsyncThrowingStream.makeStream()
    }

    deinit {
        following?.cancel()
        waiting?.cancel()
    }

    package func replaceWeights(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) async throws {
        try await sampler.replaceWeights(bytes, manifest, version: version)
    }

    package func submit(_ tasks: [RolloutTask]) async throws {
        follow()
        var turns: [RolloutTask] = []
        for task in tasks { turns.append(begin(task).episode.nextTurn) }
        try await sampler.submit(turns)
    }

    package func cancel(_ items: Set<WorkItem>) async {
        for item in items {
            // A service that is asked about it is told when it has answered: the answer may be its end.
            if let playing = episodes.removeValue(forKey: item), !playing.isAsked { forget(playing.number) }
        }
        await sampler.cancel(items)
    }

    private func begin(_ task: RolloutTask, again: Bool = false) -> Playing {
        newest += 1
        var playing = Playing(task: task, episode: Episode(task, settings), number: newest)
        playing.isSecond = again
        if case .builtIn(let environment) = world {
            playing.environment = environment.make()
            playing.environment?.reset(playing.episode.start)
        }
        episodes[WorkItem(id: task.id, kind: task.kind)] = playing
        return playing
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
            guard var playing = episodes.removeValue(forKey: item) else { continue }
            switch playing.episode.take(turn, text) {
            case .ends(let whole):
                finished.append(whole)
                forget(playing.number)
            case .says(let said):
                guard let step = playing.environment?.step(said) else {
                    ask(item, playing, said)
                    continue
                }
                if let whole = try playing.episode.hear(step, text) {
                    finished.append(whole)
                } else {
                    next.append(playing.episode.nextTurn)
                    episodes[item] = playing
                }
            }
        }
        continuation.yield(finished.isEmpty ? .progress : .completed(finished))
        if !next.isEmpty { try await sampler.submit(next) }
    }
}

// MARK: Environments that answer later

extension EpisodeBackend {
    /// Has the service answer, while other episodes go on.
    private func ask(_ item: WorkItem, _ playing: Playing, _ said: String) {
        guard case .service(let service) = world else { return }
        asking += 1
        episodes[item] = playing
        episodes[item]?.isAsked = true
        keepLeases()
        Task {
            let answer: Result<EnvironmentStep, EnvironmentFailure>
            do throws(EnvironmentFailure) {
                answer = .success(try await service.step(playing.number, playing.episode.start, said))
            } catch {
                answer = .failure(error)
            }
            await hear(answer, item, playing.number)
        }
    }

    private func hear(
        _ answer: Result<EnvironmentStep, EnvironmentFailure>, _ item: WorkItem, _ number: UInt64
    ) async {
        asking -= 1
        guard var playing = episodes[item], playing.number == number else {
            // It was cancelled meanwhile; who has ended or lost it has forgotten it.
            if case .success(let step) = answer, !step.isDone { forget(number) }
            return
        }
        playing.isAsked = false
        do {
            switch answer {
            case .success(let step):
                if let whole = try playing.episode.hear(step, text) {
                    episodes[item] = nil
                    if !step.isDone { forget(number) }
                    continuation.yield(.completed([whole]))
                } else {
                    episodes[item] = playing
                    continuation.yield(.progress)
                    try await sampler.submit([playing.episode.nextTurn])
                }
            case .failure(let failure):
                guard !failure.isFinal else { throw failure }
                if failure.isOwn, playing.isSecond {
                    episodes[item] = nil
                    continuation.yield(.completed([playing.episode.abandoned()]))
                } else {
                    // The same seed gives the same turns: a failure that comes from elsewhere changes no value.
                    let again = begin(playing.task, again: playing.isSecond || failure.isOwn)
                    try await sampler.submit([again.episode.nextTurn])
                }
            }
        } catch {
            continuation.finish(throwing: error)
        }
    }

    private func forget(_ number: UInt64) {
        guard case .service(let service) = world else { return }
        Task { await service.end(number) }
    }

    /// Tells of progress while a service is asked: it has limits of its own, and leases must not run out meanwhile.
    private func keepLeases() {
        guard waiting == nil else { return }
        waiting = Task { [weak self] in
            while await self?.isAsking() == true { try? await Task.sleep(for: .milliseconds(500)) }
        }
    }

    private func isAsking() -> Bool {
        guard asking > 0, !Task.isCancelled else {
            waiting = nil
            return false
        }
        continuation.yield(.progress)
        return true
    }
}
