import Distillation
import Engines
import Logging
import Randomness
import Wire

/// A rollout worker's engine that drives a server: it sends prompts, and brings the server new weights. With a teacher
/// nothing is brought.
package actor ServerSampler: RolloutBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var isReproducible: Bool { false }
    package nonisolated let weightByteCount: Int?
    package nonisolated let slots: Int
    package nonisolated let events: AsyncThrowingStream<SamplingEvent, any Error>
    package nonisolated var trouble: String? { publisher?.trouble ?? caller.trouble }

    private nonisolated let caller: ServerCaller
    private nonisolated let publisher: WeightCarrier?
    private let continuation: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    private let connected: ConnectedServer
    private let mode: LogprobMode
    private let logger = Logger(label: "server")

    private struct Run: Sendable {
        var task: RolloutTask
        /// The version of the weights it is sampled with; nil: none yet.
        var version: UInt64?
        var work: Task<Void, Never>?
    }
    private var waiting: [RolloutTask] = []
    private var running: [UInt64: Run] = [:]
    private var nextTicket: UInt64 = 0
    private var newWeights: (bytes: WeightBytes, manifest: WeightManifest, version: UInt64)?
    private var isPublishing = false
    private var drained: CheckedContinuation<Void, Never>?
    private var watching: Task<Void, Never>?

    /// How often a server is asked whether it lives while it samples.
    private static let pulse = Duration.seconds(2)

    /// - Parameter publisher: of the student's weights; nil: they never change.
    package init(_ connected: ConnectedServer, mode: LogprobMode, publisher: WeightCarrier?, slots: Int) {
        self.connected = connected
        self.mode = mode
        self.publisher = publisher
        self.slots = slots
        caller = connected.caller
        tokenizerFingerprint = connected.text.tokenizer.fingerprint
        weightByteCount = publisher?.form.manifest?.byteCount
        (events, continuation) = AsyncThrowingStream.makeStream()
    }

    deinit { watching?.cancel() }

    // MARK: Tasks

    package func submit(_ tasks: [RolloutTask]) throws {
        for task in tasks {
            if let refusal = connected.probe.dialect.refusal(of: task.sampling) ?? mode.refusal(of: task.sampling) {
                throw EngineError("\(connected.probe.reference.key): the server \(refusal)")
            }
            let length = task.promptIDs.count + task.sampling.maxTokens
            if let context = connected.model.contextLength, length > context {
                throw EngineError(
                    "\(connected.probe.reference.key): a prompt of \(task.promptIDs.count) tokens and \(task.sampling.maxTokens) "
                        + "more do not fit into the server's context of \(context); shorten it, or lower sampling.max_tokens"
                )
            }
        }
        waiting += tasks
        watch()
        startWaiting()
    }

    /// Starts what may be sampled now.
    private func startWaiting() {
        if let publisher {
            // Weights that are replaced in place would change under it.
            guard newWeights == nil || !publisher.form.replacesInPlace, let version = publisher.version else { return }
            let ready = waiting.filter { $0.minimumVersion <= version }
            waiting.removeAll { $0.minimumVersion <= version }
            for task in ready { start(task) }
        } else {
            for task in waiting { start(task) }
            waiting = []
        }
    }

    private func start(_ task: RolloutTask) {
        nextTicket += 1
        let ticket = nextTicket
        running[ticket] = Run(task: task)
        running[ticket]?.work = Task { await sample(task, ticket) }
    }

    private func sample(_ task: RolloutTask, _ ticket: UInt64) async {
        do {
            let response = try await caller.ask(tokens: task.promptIDs.count + task.sampling.maxTokens) {
                await self.question(task, ticket)
            }
            guard let run = running.removeValue(forKey: ticket) else { return }
            continuation.yield(.completed([trajectory(task, response, version: run.version ?? 0)]))
        } catch {
            // What was cancelled is gone already.
            guard running.removeValue(forKey: ticket) != nil else { return }
            fail(error)
        }
        await hasEnded()
    }

    /// Asks with the newest weights that the server has at the time of the try.
    private func question(_ task: RolloutTask, _ ticket: UInt64) -> ServerCaller.Question<SampledResponse> {
        running[ticket]?.version = publisher?.version ?? 0
        let order = SampleOrder(
            model: connected.model.name, adapter: publisher?.adapter, promptIDs: task.promptIDs,
            settings: task.sampling,
            // Samples of one prompt share the task's seed.
            seed: CounterRandom(key: task.seed).bits(UInt64(task.id.sample)), cacheSalt: publisher?.cacheSalt,
            vocabularySize: connected.vocabularySize,
            tokenizer: task.sampling.stop.isEmpty ? nil : connected.text.tokenizer)
        let dialect = connected.probe.dialect
        let tokens = task.promptIDs.count + task.sampling.maxTokens
        return .init(dialect.sampling(order), answerLimit: scoringAnswerLimit(tokens)) { body throws(AnswerFlaw) in
            try dialect.sample(in: body, of: order)
        }
    }

    private func trajectory(_ task: RolloutTask, _ response: SampledResponse, version: UInt64) -> Trajectory {
        Trajectory(
            id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: response.ids,
            behaviourLogprobs: response.logprobs,
            policyVersions: PolicyVersions(repeating: version, count: response.ids.count),
            finishReason: response.finishReason, temperature: task.sampling.temperature)
    }

    package func cancel(_ items: Set<WorkItem>) async {
        waiting.removeAll { items.contains(WorkItem(id: $0.id, kind: $0.kind)) }
        for (ticket, run) in running where items.contains(WorkItem(id: run.task.id, kind: run.task.kind)) {
            running[ticket] = nil
            run.work?.cancel()
        }
        continuation.yield(.cancelled(items))
        await hasEnded()
    }

    /// Something is no longer under way.
    private func hasEnded() async {
        if running.isEmpty {
            drained?.resume()
            drained = nil
        }
        await publisher?.forget(keeping: Set(running.values.compactMap(\.version)))
    }

    private func fail(_ error: any Error) {
        guard !(error is CancellationError) else { return }
        continuation.finish(throwing: error)
    }

    /// Tells that the work moves while a server that lives has some: a response comes as a whole, after a lease perhaps.
    private func watch() {
        guard watching == nil else { return }
        watching = Task { [weak self, caller, continuation] in
            while (try? await Task.sleep(for: Self.pulse)) != nil {
                guard let isBusy = await self?.isBusy else { return }
                if isBusy, await caller.ping() { continuation.yield(.progress) }
            }
        }
    }

    private var isBusy: Bool { !running.isEmpty }

    // MARK: Weights

    package func replaceWeights(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) {
        // Versions that were not brought yet when a newer one came are skipped.
        newWeights = (bytes, manifest, version)
        guard !isPublishing else { return }
        isPublishing = true
        Task { await publish() }
    }

    private func publish() async {
        guard let publisher else { return }
        do {
            while let weights = newWeights {
                if publisher.form.replacesInPlace, !running.isEmpty {
                    await withCheckedContinuation { drained = $0 }
                    continue
                }
                try await publisher.bring(weights.bytes, weights.manifest, version: weights.version)
                if newWeights?.version == weights.version { newWeights = nil }
                await publisher.forget(keeping: Set(running.values.compactMap(\.version)))
                logger.debug("the server has weights \(weights.version)")
                startWaiting()
            }
            isPublishing = false
        } catch {
            isPublishing = false
            fail(error)
        }
    }
}
