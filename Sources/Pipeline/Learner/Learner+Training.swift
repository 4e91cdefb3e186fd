import Distillation
import Engines
import Exchange
import Foundation
import Locking
import RunFiles
import Wire

extension Learner {
    func train() async throws {
        if let checkpoint = resuming {
            recorder.activity("reading \(checkpoint.path)")
            try await during("reading \(checkpoint.path)") { try await backend.restore(from: checkpoint.path) }
            recorder.activity(nil)
            for weights in options.plan.earlierWeights(at: course.version) {
                let place = try weights.read(from: checkpoint.path, backend.weightManifest)
                publisher(of: weights.average).keep(place)
            }
            resuming = nil
        }
        if course.pending != nil { beginEvaluation() }
        try await publish()
        while try await finishStep() {
            guard await wait(exchange.stage == .rollouts ? .rollouts : .scores, until: { exchange.stage == .ready }),
                !isStopped
            else { return }
            try await step()
        }
    }

    /// Trains the complete batch and publishes what came of it.
    private func step() async throws {
        guard let complete = exchange.batch() else {
            preconditionFailure("a step is trained when its batch is complete")
        }
        let batch = await judged(complete)
        if let flaw = course.flaw(in: batch) { return try await skip(flaw, batch) }
        let prompts = exchange.prompts(of: batch), given = givenResponses(to: batch, prompts)
        let learningRate = course.learningRate
        await options.run.confirm?()
        bookTime()
        phase = .training
        let begun = now
        let result = try await during("training step \(course.version + 1)", isTraining: true) {
            try await backend.step(
                batch, given: given, objective: options.objective, learningRate: learningRate, version: course.version)
        }
        bookTime()
        phase = .other
        course.trained(in: now - begun)
        if let flaw = course.flaw(of: result, batch: batch) { return try await skip(flaw, batch) }
        addCost(of: batch, isTrained: true)
        if let given { course.addCost(of: given.examples) }
        exchange.completeStep()
        course.completeStep(tokens: options.plan.boundary(exchange.ledger.counts))
        if course.evaluatesNow { beginEvaluation() }
        try await publish()
        var training =
            options.objective.imitates
            ? TrainingMetrics(supervised: result.statistics, gradNorm: result.gradNorm, learningRate: learningRate)
            : TrainingMetrics(
                result.statistics, gradNorm: result.gradNorm, learningRate: learningRate,
                isExact: backend.isReproducible && !exchange.hasInexactSampler)
        if !options.objective.imitates {
            training.parts = DivergenceParts(batch, of: prompts, in: divergenceGroups)
            if options.plan.environment != nil { training.episodes = EpisodeMetrics(batch) }
        }
        let warning = mismatches.warning(
            step: course.version, mean: training.mismatchMean, largest: training.mismatchMax)
        if let warning { logger.warning("\(warning)") }
        endLine(training: training, skipped: nil)
        let recorded = options.objective.measured(batch, result.readings, first: options.recordedSamples)
        recorder.record(samples: recorded, step: course.version)
    }

    /// The responses that were given with a batch's prompts, one for each time that a prompt was drawn.
    private func givenResponses(to batch: [ScoredTrajectory], _ prompts: [Prompt]) -> GivenResponses? {
        guard options.givenCoefficient > 0 else { return nil }
        var examples: [SupervisedExample] = [], group: UInt64?
        for (scored, prompt) in zip(batch, prompts) where scored.trajectory.id.group != group {
            group = scored.trajectory.id.group
            guard let ids = prompt.givenIDs else { continue }
            examples.append(SupervisedExample(promptIDs: prompt.ids, responseIDs: ids))
        }
        return GivenResponses(examples, coefficient: options.givenCoefficient)
    }

    /// Gives the complete batch up; throws when the run is not to go on.
    private func skip(_ flaw: StepFlaw, _ batch: [ScoredTrajectory]) async throws {
        recorder.record(suspects: flaw.offenders, flaw: flaw.text, step: course.version + 1)
        let warning = try course.giveUpStep(flaw)
        logger.warning("\(warning)")
        addCost(of: batch, isTrained: false)
        exchange.skipStep()
        course.skipStep(tokens: options.plan.boundary(exchange.ledger.counts))
        if course.evaluatesNow { beginEvaluation() }
        try await publish()
        endLine(training: nil, skipped: flaw.text)
    }

    /// A teacher whose files are not here is counted as its members tell.
    private func addCost(of batch: [ScoredTrajectory], isTrained: Bool) {
        course.addCost(of: batch, isTrained: isTrained) { exchange.forwardCost(ofTeacher: $0) }
    }

    private func endLine(training: TrainingMetrics?, skipped: String?) {
        bookTime()
        var timing = clock.lap(now: now, ledger: exchange.ledger, batchTokens: training?.batchTokens ?? 0)
        timing.weights = publisher.newestDifference
        timing.copyAge = options.run.copies?.report.age
        course.endLine(training: training, skipped: skipped, timing: timing)
    }

    /// Opens the evaluation of the present weights, where workers have them.
    private func beginEvaluation() {
        if options.evaluator == nil { exchange.beginEvaluation() }
    }

    /// Has the present weights written, where workers take them, and hands out the work that they allow. They are
    /// announced as soon as their checksums are there, which the next step need not wait for.
    private func publish() async throws {
        guard !options.objective.imitates else { return perform(exchange.grantWork(now: now)) }
        await finishAnnouncing()
        await options.run.confirm?()
        let version = course.version
        let publisher = publisher
        let manifest = backend.weightManifest
        let (place, averages) = try await during("publishing the weights of step \(version)", as: .publishing) {
            // The first files' memory is found now, which takes its time.
            let place = await onThread("opd-weights") { publisher.place(for: manifest, version: version) }
            try await backend.writeWeights(to: place)
            return (place, try await writtenAverages(of: version))
        }
        let keeping = options.plan.followedVersions(at: version)
        announcing = Task {
            awaitingDifference = publisher.makesDifferences ? exchange.differenceTakers : []
            let keepsBase = !awaitingDifference.isEmpty
            let announcement = await onThread("opd-checksums") {
                publisher.announce(place, keepsBase: keepsBase, keeping: keeping)
            }
            announce(announcement) { !awaitingDifference.contains($0) }
            if keeping.contains(version) {
                perform(exchange.followers().map { .send(.weightsAnnounce(announcement), to: $0) })
            }
            for (teacher, place) in averages {
                let publisher = self.publisher(of: teacher)
                let announcement = await onThread("opd-checksums") { publisher.announce(place) }
                perform(exchange.followers(of: teacher).map { .send(.weightsAnnounce(announcement), to: $0) })
            }
            guard keepsBase else { return }
            let complete = await onThread("opd-difference") { publisher.addDifference() }
            let takers = awaitingDifference
            awaitingDifference = []
            if let complete { announce(complete) { takers.contains($0) } }
        }
        perform(exchange.grantWork(now: now))
    }

    /// Has the averages written that teachers take now, where their scorers take them.
    private func writtenAverages(of version: UInt64) async throws -> [(teacher: String, place: WeightPlace)] {
        var written: [(teacher: String, place: WeightPlace)] = []
        let manifest = backend.weightManifest
        for (teacher, due) in options.plan.averageVersions(at: version).sorted(by: { $0.key < $1.key })
        where due == version {
            let publisher = publisher(of: teacher)
            let place = await onThread("opd-weights") { publisher.place(for: manifest, version: version) }
            try await backend.writeAverage(of: teacher, to: place)
            written.append((teacher, place))
        }
        return written
    }

    /// Who hands out the student's weights, or the average of them that a teacher is.
    private func publisher(of average: String?) -> WeightPublisher {
        guard let average else { return publisher }
        guard let publisher = averagePublishers[average] else {
            preconditionFailure("every average of the plan has its publisher")
        }
        return publisher
    }

    /// Who hands out the weights that a member is to have.
    func publisher(for peer: PeerID) -> WeightPublisher { publisher(of: exchange.followedAverage(of: peer)) }

    private func announce(_ announcement: WeightsAnnounce, to isMeant: (PeerID) -> Bool) {
        perform(exchange.peers(.rollout).filter(isMeant).map { .send(.weightsAnnounce(announcement), to: $0) })
    }

    /// Waits until the newest weights are announced.
    func finishAnnouncing() async {
        await announcing?.value
        announcing = nil
    }

    /// Waits for the evaluation of the last step, writes the step's line, and saves a checkpoint when one is due.
    /// - Returns: whether to go on.
    private func finishStep() async throws -> Bool {
        if let line = course.pending {
            guard let evaluation = try await evaluation(of: line.version) else { return false }
            record(evaluation, of: line.step)
        }
        if course.isCheckpointDue { await save() }
        return course.goesOn && failure == nil
    }

    /// Records the last step's line with its evaluation.
    private func record(_ evaluation: HeldoutEvaluation, of step: UInt64) {
        let complete = evaluation.responses
        let evaluated = complete.filter(\.isFinite)
        if evaluated.count < complete.count {
            let count = "\(complete.count - evaluated.count) of \(complete.count)"
            logger.warning(
                "\(count) held-out responses have no grades and are left out; see suspects.jsonl in the run folder")
        }
        var metrics: EvaluationMetrics?
        if !evaluated.isEmpty {
            metrics = EvaluationMetrics(evaluated, crossEntropy: evaluation.crossEntropy)
            metrics?.teacherPassRate = options.teacherPassRate
        }
        if !complete.isEmpty { recorder.record(samples: evaluated, step: step) }
        // The example is the answer to the first prompt, and to no other.
        let example = complete.first?.trajectory.responseIDs ?? []
        if let line = course.recordLine(metrics, exampleIDs: example) { recorder.record(line) }
    }

    /// The held-out responses of the present weights, graded and judged; none where no evaluation is due.
    /// - Returns: nil when the run was stopped first.
    private func evaluation(of version: UInt64) async throws -> HeldoutEvaluation? {
        if let evaluator = options.evaluator {
            guard options.plan.evaluates(version: version) else { return HeldoutEvaluation(responses: []) }
            bookTime()
            phase = .evaluation
            recorder.activity("evaluating")
            let evaluated = try await during("evaluating") {
                try await evaluator.evaluate(backend, options.plan, version: version) { isStopped }
            }
            bookTime()
            phase = .other
            recorder.activity(nil)
            return evaluated
        }
        guard exchange.evaluationProgress.total > 0 else { return HeldoutEvaluation(responses: []) }
        guard await wait(.evaluation, until: { exchange.evaluationStage == .ready }),
            let complete = exchange.completeEvaluation()
        else { return nil }
        return HeldoutEvaluation(responses: await judged(complete))
    }

    /// The trajectories with the verdicts of their prompts' verifiers.
    private func judged(_ trajectories: [ScoredTrajectory]) async -> [ScoredTrajectory] {
        guard let judge = options.judge else { return trajectories }
        let prompts = exchange.prompts(of: trajectories)
        return await onThread("opd-judge") { judge.judged(trajectories, prompts: prompts) }
    }

    // MARK: Checkpoints

    /// Begins to save what the last step left.
    private func save() async {
        await finishSaving()
        guard let checkpoints, let saver else { return }
        if course.suspectsWeights, let latest = checkpoints.latest() {
            logger.warning(
                "no checkpoint of step \(course.version): its weights gave bad steps; \(latest.path) stays the newest"
            )
            return
        }
        // Nothing was ever trained: there is nothing to keep of a student that was bad from the start.
        if course.suspectsWeights, exchange.ledger.counts.trained == 0 { return }
        // What teachers have that are an earlier self belongs to the state, and is there once it was announced.
        if !options.plan.refreshes.isEmpty { await finishAnnouncing() }
        let earlier = options.plan.earlierWeights(at: course.version).compactMap { weights in
            publisher(of: weights.average).bytes(of: weights.version).map { (weights, $0) }
        }
        await saver.save(
            course.checkpointState(tokenizerFingerprint: backend.tokenizerFingerprint), of: backend, earlier: earlier)
    }

    func finishSaving() async {
        guard let saver, saver.isWriting else { return }
        recorder.activity("saving a checkpoint")
        await during("saving a checkpoint", as: .checkpoint) { await saver.finish() }
        recorder.activity(nil)
    }

    /// The last checkpoint of this process, on disk when this returns. Nothing is lost by not saving a run without a
    /// completed step.
    func saveFinally() async {
        if course.version > 0 { await save() }
        await finishSaving()
    }
}
