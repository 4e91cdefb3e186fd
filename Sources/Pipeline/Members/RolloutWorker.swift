import Distillation
import Engines
import Exchange
import Logging
import Transport
import Wire

/// Samples rollouts under lease, with the learner's weights, which it follows, or with a teacher's. It has no state that
/// matters: kill it at will.
///
/// The session decides what to say to the learner; the backend samples on a thread of its own in bounded slices,
/// between which new weights and tasks are taken in. Heartbeats go on while a slice runs.
package actor RolloutWorker: DeskMember {
    var desk: MemberDesk<RolloutTask>
    private let backend: any RolloutBackend
    /// Whether its weights are the learner's; a teacher's never change, and are version 0.
    private let followsWeights: Bool
    /// Of the weights in the backend; nil before the first, and when another learner's are awaited.
    private var version: UInt64?
    private var nextWeights: FetchedWeights?
    private var fetcher: WeightFetcher
    private var fetching: Task<Void, Never>?
    private var fetchFailures = 0

    /// - Parameter teachers: names under which prompts ask for the teacher that it holds; none: it holds the student.
    package init(
        options: MemberOptions, teachers: [String] = [], transport: any Transport, backend: any RolloutBackend,
        logger: Logger
    ) {
        self.backend = backend
        followsWeights = teachers.isEmpty
        version = teachers.isEmpty ? nil : 0
        desk = MemberDesk(
            options, role: .rollout, backend: backend, teachers: teachers,
            window: max(backend.slots, 1), transport: transport, logger: logger)
        fetcher = Self.makeFetcher(transport, backend, logger)
    }

    /// Works until the learner ends the run, refuses, or does not answer; throws what the engine throws.
    package func run() async throws -> MemberEnd {
        followFetcher()
        defer { fetching?.cancel() }
        return try await serve()
    }

    /// Leaves the run: the learner issues what is held here again at once.
    package func stop(_ reason: String) { desk.stop(reason) }

    func closeDown() async { await fetcher.stop() }

    // MARK: Work

    func work() async throws {
        while desk.end == nil {
            if let failure = desk.failure { throw failure }
            if !desk.cancelled.isEmpty {
                let items = desk.cancelled
                desk.cancelled = []
                desk.active.subtract(items)
                await backend.cancel(items)
                continue
            }
            if let weights = nextWeights {
                nextWeights = nil
                let fetchedFor = fetching
                try await backend.replaceWeights(
                    weights.bytes, elementType: weights.elementType, version: weights.version)
                // Another learner may have come meanwhile, to whom these weights mean nothing.
                if fetching == fetchedFor { version = weights.version }
                desk.logger.debug("weights \(weights.version) are in use")
                continue
            }
            let ready = desk.queue.filter { task in version.map { $0 >= task.minimumVersion } ?? false }
            if !ready.isEmpty {
                let items = Set(ready.map(\.item))
                desk.queue.removeAll { items.contains($0.item) }
                desk.active.formUnion(items)
                desk.progress()
                try await backend.submit(ready)
                continue
            }
            guard !desk.active.isEmpty else {
                await withCheckedContinuation { desk.wait($0) }
                continue
            }
            let advanced = try await backend.advance()
            let completed = advanced.filter { !desk.cancelled.contains(RolloutTask.item(of: $0)) }
            desk.progress()
            guard !completed.isEmpty else { continue }
            for trajectory in completed { hasCompleted(trajectory) }
            desk.complete(completed)
        }
    }

    private func hasCompleted(_ trajectory: Trajectory) {
        if !trajectory.behaviourLogprobs.areFinite {
            // What becomes of the step is for the learner to decide, as configured.
            let who = followsWeights ? "the student" : "the teacher"
            let what = "rollout \(trajectory.id): \(who) gave a log-probability that is not finite"
            desk.logger.warning("\(what), with weights of version \(trajectory.policyVersions.last ?? 0)")
        }
        desk.active.remove(RolloutTask.item(of: trajectory))
        desk.rate.add(trajectory.responseIDs.count)
    }

    var status: (state: String, version: UInt64) { (stateText, version ?? MemberStatus.noVersion) }

    private var stateText: String {
        if !desk.active.isEmpty { return "sampling \(desk.active.count)" }
        if version == nil { return "waiting for weights" }
        return desk.queue.isEmpty ? "waiting for work" : "waiting for newer weights"
    }

    // MARK: Weights

    private static func makeFetcher(
        _ transport: any Transport, _ backend: any RolloutBackend, _ logger: Logger
    ) -> WeightFetcher {
        WeightFetcher(expectedByteCount: backend.weightByteCount, logger: logger) { request in
            do {
                try transport.send(.weightsRequest(request))
            } catch {
                logger.error("a weights request cannot be sent: \(error)")
            }
        }
    }

    func followWeights(_ action: MemberSession<RolloutTask>.Action) async {
        guard followsWeights else { return }
        switch action {
        case .weights(.weightsAnnounce(let announce)): await fetcher.receive(announce)
        case .weights(.weightsChunk(let chunk)): await fetcher.receive(chunk)
        case .forgetWeights:
            version = nil
            nextWeights = nil
            let old = fetcher
            Task { await old.stop() }
            fetcher = Self.makeFetcher(desk.transport, backend, desk.logger)
            followFetcher()
        default: break
        }
    }

    /// Takes what the present fetcher delivers; what an earlier one still has is not seen.
    private func followFetcher() {
        fetching?.cancel()
        let outcomes = fetcher.outcomes
        fetching = Task { [weak self] in
            for await outcome in outcomes {
                guard !Task.isCancelled else { return }
                await self?.take(outcome)
            }
        }
    }

    private func take(_ outcome: WeightFetchOutcome) {
        guard !Task.isCancelled else { return }
        switch outcome {
        case .fetched(let weights):
            fetchFailures = 0
            nextWeights = weights
        case .failed(let error):
            fetchFailures += 1
            desk.logger.warning("\(error)")
            // The learner announces again after every heartbeat that tells of older weights.
            if fetchFailures >= 5 { desk.failure = MemberError("\(error)") }
        }
        desk.wake()
    }
}
