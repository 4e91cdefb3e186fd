import Distillation
import Engines
import Exchange
import Logging
import Transport
import Wire

/// Samples rollouts under lease, with the learner's weights, which it follows, or with a teacher's. It has no state that
/// matters: kill it at will.
///
/// The session decides what to say to the learner; the backend samples by itself, and takes new weights, tasks and what
/// is cancelled meanwhile.
package actor RolloutWorker: WorkingMember {
    var work: MemberWork<RolloutTask>
    private let backend: any RolloutBackend
    /// Whether its weights are the learner's; a teacher's never change, and are version 0.
    private let followsWeights: Bool
    /// Whether what was begun ends before new weights are taken into use; until then nothing else is begun.
    private let finishesSequences: Bool
    private var weights: WeightFollower
    /// Cancelled, and not yet confirmed: what the engine still tells of them is of an earlier lease.
    private var cancelling: Set<WorkItem> = []

    /// - Parameter teachers: names under which prompts ask for the teacher that it holds; none: it holds the student.
    package init(
        options: MemberOptions, teachers: [String] = [], transport: any Transport, backend: any RolloutBackend,
        logger: Logger
    ) {
        self.backend = backend
        followsWeights = teachers.isEmpty
        finishesSequences = options.finishesSequences
        work = MemberWork(
            options, role: .rollout, backend: backend, teachers: teachers,
            window: max(backend.slots, 1), transport: transport, logger: logger)
        weights = WeightFollower(
            transport, byteCount: backend.weightByteCount, version: teachers.isEmpty ? nil : 0,
            takesDifferences: options.takesDifferences, logger: logger)
    }

    package func run() async throws -> MemberEnd {
        listenForWeights()
        let sampling = Task { await followSampling() }
        defer { sampling.cancel() }
        return try await serve()
    }

    func closeDown() async {
        await weights.stop()
        // Nobody waits for what is still under way, nor for the engine to hear of it.
        let backend = backend, items = work.active
        Task { await backend.cancel(items) }
    }

    // MARK: Work

    func nextPiece() async throws -> Bool {
        if !work.cancelled.isEmpty {
            let items = work.cancelled
            work.cancelled = []
            work.active.subtract(items)
            cancelling.formUnion(items)
            await backend.cancel(items)
            return true
        }
        if isFinishing { return false }
        if let (new, life) = weights.takeNext() {
            work.enter(.weights)
            try await backend.replaceWeights(new.bytes, new.manifest, version: new.version)
            weights.use(new, of: life)
            return true
        }
        let ready = work.queue.filter { task in
            !cancelling.contains(task.item) && weights.version.map { $0 >= task.minimumVersion } ?? false
        }
        guard !ready.isEmpty else { return false }
        let items = Set(ready.map(\.item))
        work.queue.removeAll { items.contains($0.item) }
        work.active.formUnion(items)
        work.progress()
        try await backend.submit(ready)
        return true
    }

    /// Whether new weights wait for the end of what was begun with older ones.
    private var isFinishing: Bool { finishesSequences && weights.hasNext && !work.active.isEmpty }

    /// Takes what the engine tells, while messages come and go.
    private func followSampling() async {
        do {
            for try await event in backend.events { handle(event) }
            guard !Task.isCancelled else { return }
            work.failure = MemberError("the engine has ended")
        } catch {
            work.failure = error
        }
        work.wake()
    }

    private func handle(_ event: SamplingEvent) {
        switch event {
        case .progress: work.progress()
        case .completed(let trajectories):
            // An engine may have completed what nobody wants any more before it heard so.
            let completed = trajectories.filter { trajectory in
                let item = RolloutTask.item(of: trajectory)
                return work.active.contains(item) && !work.cancelled.contains(item)
            }
            work.progress()
            guard !completed.isEmpty else { return }
            for trajectory in completed { hasCompleted(trajectory) }
            work.complete(completed)
            if weights.hasNext { work.wake() }
        case .cancelled(let items):
            cancelling.subtract(items)
            work.wake()
        }
    }

    private func hasCompleted(_ trajectory: Trajectory) {
        if !trajectory.behaviourLogprobs.areFinite {
            // What becomes of the step is for the learner to decide, as configured.
            let who = followsWeights ? "the student" : "the teacher"
            let what = "rollout \(trajectory.id): \(who) gave a log-probability that is not finite"
            work.logger.warning("\(what), with weights of version \(trajectory.policyVersions.last ?? 0)")
        }
        work.active.remove(RolloutTask.item(of: trajectory))
        work.rate.add(trajectory.sampledCount)
    }

    var status: (state: String, version: UInt64) {
        (work.described(stateText, backend), weights.version ?? MemberStatus.noVersion)
    }

    var stage: Stage {
        if !work.active.isEmpty { return .sampling }
        return weights.version != nil && work.queue.isEmpty ? .waitingForWork : .waitingForWeights
    }

    private var stateText: String {
        if isFinishing { return "sampling the last \(work.active.count) before new weights" }
        if !work.active.isEmpty { return "sampling \(work.active.count)" }
        if weights.version == nil { return "waiting for weights" }
        return work.queue.isEmpty ? "waiting for work" : "waiting for newer weights"
    }

    // MARK: Weights

    func followWeights(_ action: MemberSession<RolloutTask>.Action) async {
        guard followsWeights else { return }
        switch action {
        case .weights(let message): await weights.receiver(of: message)?()
        case .forgetWeights:
            weights.forget()
            listenForWeights()
        default: break
        }
    }

    private func listenForWeights() {
        weights.listen { [weak self] in await self?.handle($0) }
    }

    private func handle(_ outcome: WeightFetchOutcome) {
        guard !Task.isCancelled else { return }
        if let error = weights.take(outcome) { work.failure = error }
        work.wake()
    }
}
