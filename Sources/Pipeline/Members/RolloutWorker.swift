import Distillation
import Logging
import Wire

/// Samples rollouts under lease, with the learner's weights, which it follows, or with a teacher's. It has no state that
/// matters: kill it at will.
///
/// The session decides what to say to the learner; the backend samples on a thread of its own in bounded slices,
/// between which new weights and tasks are taken in. Heartbeats go on while a slice runs.
public actor RolloutWorker {
    private let transport: any Transport
    private let backend: any RolloutBackend
    private let logger: Logger
    /// Whether its weights are the learner's; a teacher's never change, and are version 0.
    private let followsWeights: Bool
    private let origin: ContinuousClock.Instant
    private var session: MemberSession<RolloutTask>
    private var end: MemberEnd?
    private var failure: MemberError?

    /// Granted, not yet in the backend.
    private var queue: [RolloutTask] = []
    /// In the backend.
    private var active: Set<WorkItem> = []
    /// To be taken out of the backend.
    private var cancelled: Set<WorkItem> = []
    /// Of the weights in the backend; nil before the first, and when another learner's are awaited.
    private var version: UInt64?
    private var nextWeights: FetchedWeights?
    private var fetcher: WeightFetcher
    private var fetching: Task<Void, Never>?
    private var fetchFailures = 0
    private var progressAt: Duration = .zero
    private var rate = TokenRate()
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// - Parameter teachers: names under which prompts ask for the teacher that it holds; none: it holds the student.
    public init(
        options: MemberOptions, teachers: [String] = [], transport: any Transport, backend: any RolloutBackend,
        logger: Logger
    ) {
        self.transport = transport
        self.backend = backend
        self.logger = logger
        followsWeights = teachers.isEmpty
        version = teachers.isEmpty ? nil : 0
        origin = .now
        let hello = Hello(
            role: .rollout, name: options.name, incarnation: options.incarnation, hostID: HostID.current(),
            modelFingerprint: "", tokenizerFingerprint: backend.tokenizerFingerprint, slots: backend.slots,
            teachers: teachers, processID: options.processID)
        session = MemberSession(hello: hello, window: max(backend.slots, 1), patience: options.patience, now: .zero)
        fetcher = Self.makeFetcher(transport, backend, logger)
    }

    /// Works until the learner ends the run, refuses, or does not answer; throws what the engine throws.
    public func run() async throws -> MemberEnd {
        let pump = Task { await receiveAll() }
        let ticker = Task { await tickAll() }
        followFetcher()
        defer {
            pump.cancel()
            ticker.cancel()
            fetching?.cancel()
        }
        do {
            try await work()
        } catch {
            perform(session.leave(reason: "\(error)"))
            await fetcher.stop()
            await transport.close()
            throw error
        }
        await fetcher.stop()
        await transport.close()
        return end ?? .stopped("")
    }

    /// Leaves the run: the learner issues what is held here again at once.
    public func stop(_ reason: String) {
        guard end == nil else { return }
        perform(session.leave(reason: reason))
        finish(.stopped(reason))
    }

    // MARK: Work

    private func work() async throws {
        while end == nil {
            if let failure { throw failure }
            if !cancelled.isEmpty {
                let items = cancelled
                cancelled = []
                active.subtract(items)
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
                logger.debug("weights \(weights.version) are in use")
                continue
            }
            let ready = queue.filter { task in version.map { $0 >= task.minimumVersion } ?? false }
            if !ready.isEmpty {
                let items = Set(ready.map(\.item))
                queue.removeAll { items.contains($0.item) }
                active.formUnion(items)
                progressAt = now
                try await backend.submit(ready)
                continue
            }
            guard !active.isEmpty else {
                await withCheckedContinuation { waiters.append($0) }
                continue
            }
            let completed = try await backend.advance().filter { !cancelled.contains(RolloutTask.item(of: $0)) }
            progressAt = now
            guard !completed.isEmpty else { continue }
            for trajectory in completed {
                if !trajectory.behaviourLogprobs.areFinite {
                    // What becomes of the step is for the learner to decide, as configured.
                    let who = followsWeights ? "the student" : "the teacher"
                    let what = "rollout \(trajectory.id): \(who) gave a log-probability that is not finite"
                    logger.warning("\(what), with weights of version \(trajectory.policyVersions.last ?? 0)")
                }
                active.remove(RolloutTask.item(of: trajectory))
                rate.add(trajectory.responseIDs.count)
            }
            perform(session.complete(completed, now: now))
        }
    }

    private func receiveAll() async {
        for await burst in transport.events.bursts {
            for case .message(let message, _) in burst {
                for action in session.receive(message, now: now) {
                    if case .weights(let message) = action { await receiveWeights(message) } else { perform([action]) }
                }
            }
            changed()
        }
    }

    private func tickAll() async {
        while (try? await Task.sleep(for: .milliseconds(100))) != nil {
            let moving = active.isEmpty || now - progressAt < session.lease
            let status = Heartbeat(
                state: stateText, tokens: rate.total, tokensPerSecond: rate.perSecond(now: now),
                version: version ?? Heartbeat.noVersion, epoch: 0)
            perform(session.tick(now: now, status: status, renews: moving))
            changed()
        }
    }

    private var stateText: String {
        if !active.isEmpty { return "sampling \(active.count)" }
        if version == nil { return "waiting for weights" }
        return queue.isEmpty ? "waiting for work" : "waiting for newer weights"
    }

    private func perform(_ actions: [MemberSession<RolloutTask>.Action]) {
        for action in actions {
            switch action {
            case .send(let message):
                do {
                    try transport.send(message)
                } catch {
                    failure = MemberError("\(message.name) cannot be sent: \(error)")
                }
            case .start(let tasks):
                queue += tasks
            case .cancel(let items):
                queue.removeAll { items.contains($0.item) }
                cancelled.formUnion(items.intersection(active))
            case .forgetWeights where followsWeights:
                version = nil
                nextWeights = nil
                let old = fetcher
                Task { await old.stop() }
                fetcher = Self.makeFetcher(transport, backend, logger)
                followFetcher()
            case .say(let text): logger.notice("\(text)")
            case .end(let end): finish(end)
            case .weights, .forgetWeights: break
            }
        }
        changed()
    }

    private func finish(_ end: MemberEnd) {
        if self.end == nil { self.end = end }
        changed()
    }

    private func changed() {
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter.resume() }
    }

    private var now: Duration { origin.duration(to: .now) }

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

    private func receiveWeights(_ message: Message) async {
        guard followsWeights else { return }
        switch message {
        case .weightsAnnounce(let announce): await fetcher.receive(announce)
        case .weightsChunk(let chunk): await fetcher.receive(chunk)
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
            logger.warning("\(error)")
            // The learner announces again after every heartbeat that tells of older weights.
            if fetchFailures >= 5 { failure = MemberError("\(error)") }
        }
        changed()
    }
}
