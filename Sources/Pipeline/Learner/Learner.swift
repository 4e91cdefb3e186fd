import Distillation
import Engines
import Exchange
import Logging
import RunFiles
import Transport
import Wire
import Wording

/// The one process with state: hands out work, trains, publishes weights, keeps the books and the checkpoints.
///
/// The exchange decides, the backend trains on a thread of its own; this actor carries messages between them, so
/// heartbeats and leases are answered while a step is trained or a checkpoint written.
package actor Learner: RunLearner {
    let options: LearnerOptions
    let transport: any Transport
    let backend: any TrainingBackend
    let publisher: WeightPublisher
    /// Who hands out the averages of the weights that teachers are, by teacher.
    let averagePublishers: [String: WeightPublisher]
    let checkpoints: CheckpointStore?
    let saver: CheckpointSaver?
    let recorder: any RunRecorder
    let logger: Logger

    var exchange: Exchange
    var clock: StepClock
    var phase = StepClock.Phase.other {
        didSet { lane.enter(phase.stage, now: now) }
    }
    private var lane = LearnerLane()
    var course: RunCourse
    /// Where to go on from, until it was read.
    var resuming: Checkpoint?
    /// The announcement of weights that are written: versions are announced one after the other.
    var announcing: Task<Void, Never>?
    /// Who hears of the newest weights when the difference that leads to them is made.
    var awaitingDifference: Set<PeerID> = []
    private let origin: ContinuousClock.Instant
    private var waiters = Waiters()
    private(set) var failure: LearnerError?
    private var isClosing = false
    /// Whether another learner is to go on.
    private var handsOver = false
    private var narrator: WaitNarrator
    var mismatches = MismatchWatch()
    let divergenceGroups: DivergenceGroups

    /// - Parameters:
    ///   - averages: publishers for every teacher that is an average of the student's weights.
    ///   - checkpoints: nil keeps none.
    ///   - resuming: the checkpoint to go on from, with its state; the backend's weights are read from it in `run`.
    package init(
        options: LearnerOptions, transport: any Transport, backend: any TrainingBackend,
        publisher: WeightPublisher, averages: [String: WeightPublisher] = [:], checkpoints: CheckpointStore?,
        resuming: (checkpoint: Checkpoint, state: CheckpointState)? = nil,
        recorder: any RunRecorder, logger: Logger
    ) {
        self.options = options
        self.transport = transport
        self.backend = backend
        self.publisher = publisher
        precondition(Set(averages.keys) == options.plan.averages, "every average has its publisher")
        averagePublishers = averages
        self.checkpoints = checkpoints
        saver = checkpoints.map {
            CheckpointSaver(
                $0, options.run, saved: resuming?.state,
                logger: logger)
        }
        self.recorder = recorder
        self.logger = logger
        origin = .now
        exchange = Exchange(
            plan: options.plan, options: options.exchange, epoch: .random(in: 1 ... .max),
            version: resuming?.state.step ?? 0, counts: resuming?.state.tokens ?? TokenCounts())
        clock = StepClock(now: .zero, ledger: exchange.ledger)
        course = RunCourse(options.run, resuming: resuming?.state)
        divergenceGroups = DivergenceGroups(of: options.plan.prompts)
        narrator = WaitNarrator(patience: options.patience, longStep: options.longStep)
        self.resuming = resuming?.checkpoint
    }

    var now: Duration { origin.duration(to: .now) }

    /// Ends the run after the step that is being trained: with a checkpoint, and a shutdown for every member.
    /// - Parameter handsOver: whether another learner is to go on, where the run has one: members stay for it.
    package func stop(_ reason: String, handsOver: Bool = false) {
        guard course.stopReason == nil else { return }
        self.handsOver = handsOver && options.run.handsOver
        course.stop(reason)
        waiters.wake()
    }

    /// Lets a test cut it off as if its process had been killed: nothing that it says from here on reaches anybody.
    package func cutOff() async { await transport.close() }

    /// Runs to the last step, or until stopped.
    package func run() async throws -> LearnerOutcome {
        let receiver = Task { await receiveAll() }
        let ticker = Task { await tickAll() }
        defer {
            receiver.cancel()
            ticker.cancel()
        }
        do {
            try await train()
            if let failure { throw failure }
        } catch {
            // A bad step has left the weights as they were.
            if [.badStep, .transport].contains((error as? LearnerError)?.code) {
                await saveFinally()
            } else {
                await finishSaving()
            }
            await finishAnnouncing()
            // Members must not wait for a learner that has failed, unless another is to take its place.
            let isFatal = !options.run.handsOver || (error as? LearnerError)?.code == .badStep
            if isFatal { perform(exchange.finish(reason: "the learner failed: \(error)")) }
            await close()
            throw error
        }
        let end = course.end
        await saveFinally()
        await finishAnnouncing()
        flushLane(isLast: true)
        let leavesMembers = handsOver && end.isStop
        if !leavesMembers {
            perform(exchange.finish(reason: end.isStop ? "the run was stopped" : "the run is complete"))
        }
        await close()
        recorder.activity(nil)
        logger.info("\(exchange.counters), \(transport.statistics)")
        return LearnerOutcome(
            end: end, handsOver: leavesMembers, version: course.version, checkpoint: checkpoints?.latest(),
            checkpointFailure: await saver?.failure, before: course.before, after: course.after,
            tokens: exchange.ledger.counts, cost: course.countedCost,
            uncountedTeachers: course.uncountedTeachers.sorted(), counters: exchange.counters, seconds: now.seconds)
    }

    private func stopInTime() {
        let elapsed = options.run.startedAt.duration(to: .now)
        guard let notice = course.stopInTime(elapsed: elapsed, longestSave: saver?.longest) else { return }
        logger.notice("\(notice)")
        handsOver = options.run.handsOver
        waiters.wake()
    }

    // MARK: Messages

    private func receiveAll() async {
        for await burst in transport.events.bursts {
            bookTime()
            perform(exchange.receive(burst, now: now))
            waiters.wake()
        }
        // Nobody will ever be heard again: waiting on would be for ever.
        guard !isClosing else { return }
        failure = LearnerError(.transport, "the learner's socket has failed; go on with --resume")
        waiters.wake()
    }

    private func close() async {
        isClosing = true
        await transport.close()
    }

    private func tickAll() async {
        while (try? await Task.sleep(for: .milliseconds(200))) != nil {
            bookTime()
            perform(exchange.tick(now: now))
            narrate()
            flushLane()
            stopInTime()
            waiters.wake()
        }
    }

    private func flushLane(isLast: Bool = false) {
        let isTime = lane.flush(now: now, to: recorder, step: course.version, isLast: isLast) {
            saver?.takeWritten().map { origin.duration(to: $0.lowerBound)..<origin.duration(to: $0.upperBound) } ?? []
        }
        if isTime { recorder.record { exchange.status(now: now) } }
    }

    func perform(_ actions: [Exchange.Action]) {
        for action in actions {
            switch action {
            case .send(let message, let peer): send(message, peer)
            case .announceWeights(let peer):
                let wanted = exchange.followedVersion(of: peer), publisher = publisher(for: peer)
                if !awaitingDifference.contains(peer), let announcement = publisher.announcement(of: wanted) {
                    send(.weightsAnnounce(announcement), peer)
                }
            case .serveWeights(let request, let peer):
                let wanted = exchange.followedVersion(of: peer)
                for message in publisher(for: peer).replies(to: request, wanted: wanted) { send(message, peer) }
            case .note(let note): log(note)
            case .reportStatus(let peer): send(.status(status()), peer)
            case .spans(let spans): lane.record(spans, to: recorder, step: course.version)
            case .suspect(let scored, let flaw):
                recorder.record(suspects: [scored], flaw: flaw, step: exchange.step(of: scored.trajectory))
            }
        }
    }

    private func send(_ message: Message, _ peer: PeerID) {
        do {
            try transport.send(message, to: peer)
        } catch {
            logger.error("\(message.name) to \(peer) cannot be encoded: \(error)")
        }
    }

    private func log(_ note: Exchange.Note) {
        switch note.level {
        case .debug: logger.debug("\(note.text)")
        case .info: logger.info("\(note.text)")
        case .notice: logger.notice("\(note.text)")
        case .warning: logger.warning("\(note.text)")
        }
    }

    // MARK: Waiting

    /// Waits until `condition` holds; false when the run was stopped before it did. Every wait is seen by the ticker,
    /// which says what is missing.
    func wait(_ phase: @autoclosure () -> StepClock.Phase, until condition: () -> Bool) async -> Bool {
        while !condition() {
            if isStopped { return false }
            self.phase = phase()
            await withCheckedContinuation { waiters.add($0) }
            bookTime()
        }
        self.phase = .other
        return true
    }

    var isStopped: Bool { course.stopReason != nil || failure != nil }

    /// Books the time since the last call.
    func bookTime() {
        let leases = exchange.leaseKinds
        clock.advance(to: now, phase: phase, sampling: leases.rollouts, scoring: leases.scores)
    }

    /// Says what the run waits for, or that something takes unusually long.
    private func narrate() {
        let progress = exchange.evaluationProgress.total > 0 ? exchange.evaluationProgress : exchange.batchProgress
        if narrator.hasProgressed(to: progress, now: now) { recorder.progress(exchange.batchProgress) }
        let line = narrator.line(now: now, isSaving: isSaving) { exchange.waitingFor(now: now) }
        guard let line else { return }
        logger.notice("\(line.log)")
        recorder.activity(line.activity)
    }

    private var isSaving: Bool { saver?.isWriting == true }

    /// Does what can take long, under the eyes of the ticker.
    /// - Parameter stage: what it is in the timeline, where that is not the phase's.
    func during<Result: Sendable>(
        _ text: String, isTraining: Bool = false, as stage: Stage? = nil, _ body: () async throws -> Result
    ) async rethrows -> Result {
        narrator.begin(text, isTraining: isTraining, now: now)
        if let stage { lane.enter(stage, now: now) }
        defer {
            narrator.end(now: now)
            lane.enter(phase.stage, now: now)
        }
        return try await body()
    }

    /// How the run is.
    private func status() -> Status {
        var status = exchange.status(now: now)
        status.uptimeSeconds = now.seconds
        if let busy = narrator.busy(isSaving: isSaving) {
            status.doing = "\(busy.text) for \((now - busy.since).components.seconds) s"
        } else if isSaving {
            status.doing = "writing a checkpoint"
        } else {
            status.doing = status.waitingFor == nil ? "between two steps" : "waiting"
        }
        status.waitingSeconds = narrator.waitingSeconds(now: now)
        status.copies = options.run.copies?.report.text ?? ""
        return status
    }
}
