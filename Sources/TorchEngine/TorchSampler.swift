import Distillation
import Engines
import JSON
import Locking
import Wire

/// A rollout worker's engine in a process of torch, which draws by itself: it is told what to begin and to forget, and
/// asked what has ended.
package actor TorchSampler: RolloutBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var isReproducible: Bool { false }
    package nonisolated let weightByteCount: Int?
    package nonisolated let slots: Int
    package nonisolated let events: AsyncThrowingStream<SamplingEvent, any Error>
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let session: TorchSession
    private let manifest: WeightManifest
    private let continuation: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    /// What is under way, by the number under which the engine knows it.
    private var tasks: [Int32: RolloutTask] = [:]
    private var unsent: [Int32] = []
    private var cancelled: [Int32] = []
    private var nextNumber: Int32 = 0
    /// The newest; nil: those of the model's files.
    private var weights: (bytes: WeightBytes, version: UInt64)?
    /// The engine that has the weights and the tasks.
    private var generation = 0
    /// Whether the next look at the engine is among the actor's jobs.
    private var isLooking = false

    /// Seconds that the engine waits for a response to end; new tasks and weights wait for as long.
    private static let longestWait = 0.1

    /// Starts the process and has it load the model.
    init(_ model: ModelReference, _ reference: TorchReference, _ options: SamplerOptions) throws {
        var reference = reference
        // Transformers samples in one process; more of them are more workers.
        reference.processes = 1
        let (model, session) = try TorchModel.started(
            model, reference, use: .sample(slots: options.slots), threads: options.threads)
        tokenizerFingerprint = model.tokenizerFingerprint
        manifest = model.manifest
        weightByteCount = model.manifest.byteCount
        slots = options.slots
        (events, continuation) = AsyncThrowingStream.makeStream()
        self.session = session
        executor = PinnedThreadExecutor(name: "torch")
    }

    package func replaceWeights(_ bytes: WeightBytes, _ sent: WeightManifest, version: UInt64) throws {
        try manifest.accept(bytes, sent, version: version, use: "samples in")
        guard version <= UInt64(Int32.max) else {
            throw EngineError("version \(version) is above what the torch engine counts to")
        }
        weights = (bytes, version)
        try session.attempt { generation in
            if generation == self.generation { try bringWeights(generation) } else { try prepare(generation) }
        }
    }

    package func submit(_ newTasks: [RolloutTask]) {
        for task in newTasks {
            nextNumber = nextNumber == .max ? 1 : nextNumber + 1
            tasks[nextNumber] = task
            unsent.append(nextNumber)
        }
        goOn()
    }

    package func cancel(_ items: Set<WorkItem>) {
        let numbers = tasks.filter { items.contains(WorkItem(id: $0.value.id, kind: $0.value.kind)) }.map(\.key)
        for number in numbers { tasks[number] = nil }
        cancelled += numbers.filter { !unsent.contains($0) }
        unsent.removeAll(where: numbers.contains)
        continuation.yield(.cancelled(items))
        // What nobody wants any more makes room at once.
        goOn()
    }

    private func goOn() {
        guard !isLooking, !(tasks.isEmpty && cancelled.isEmpty) else { return }
        isLooking = true
        Task { look() }
    }

    private func look() {
        isLooking = false
        do {
            let answer = try session.attempt { generation in
                if generation != self.generation { try prepare(generation) }
                return try session.call(request, generation)
            }
            (unsent, cancelled) = ([], [])
            let completed = try trajectories(in: answer)
            if !completed.isEmpty {
                continuation.yield(.completed(completed))
            } else if answer.fields["moved"]?.bool ?? false {
                continuation.yield(.progress)
            }
            goOn()
        } catch {
            continuation.finish(throwing: error)
        }
    }

    /// Brings a new engine to where the lost one was, but for what this had drawn.
    private func prepare(_ generation: Int) throws {
        unsent = tasks.keys.sorted()
        cancelled = []
        try bringWeights(generation)
        self.generation = generation
    }

    private func bringWeights(_ generation: Int) throws {
        guard let (bytes, version) = weights else { return }
        try session.withFile(of: bytes) { path in
            _ = try session.call(
                TorchMessage("weights", ["path": .string(path), "version": .integer(Int(version))]), generation)
        }
    }

    /// All tasks of a run are sampled in the same way; one that is not is refused by the engine.
    private var request: TorchMessage {
        let new = unsent.compactMap { tasks[$0] }
        let sampling = new.first?.sampling
        return TorchMessage(
            "sample",
            [
                "temperature": .number(Double(sampling?.temperature ?? 1)),
                "top_p": .number(Double(sampling?.topP ?? 1)), "top_k": .integer(sampling?.topK ?? 0),
                "wait": .number(Self.longestWait),
            ],
            integers: [
                ("tokens", new.flatMap(\.promptIDs)), ("counts", new.map { Int32($0.promptIDs.count) }),
                ("numbers", unsent), ("limits", new.map { Int32(clamping: $0.sampling.maxTokens) }),
                ("stop", sampling?.stopTokenIDs ?? []), ("cancelled", cancelled),
            ])
    }

    private func trajectories(in answer: TorchMessage) throws -> [Trajectory] {
        try answer.responses().compactMap { response in
            guard let task = tasks.removeValue(forKey: response.number) else { return nil }
            let isStopped = response.ids.last.map(task.sampling.stopTokenIDs.contains) ?? false
            return Trajectory(
                id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: response.ids,
                behaviourLogprobs: response.logprobs, policyVersions: PolicyVersions(response.versions),
                finishReason: isStopped ? .stop : .length, temperature: task.sampling.temperature)
        }
    }
}

/// A response that an engine has drawn.
package struct TorchResponse: Sendable, Equatable {
    package var number: Int32
    package var ids: [Int32]
    package var logprobs: [Float]
    package var versions: [UInt64]
}

extension TorchMessage {
    /// The responses in an answer to `sample`.
    /// - Throws: ``TorchMessageError`` where its arrays do not fit together.
    package func responses() throws(TorchMessageError) -> [TorchResponse] {
        let numbers = try integers("numbers"), counts = try integers("counts", count: numbers.count)
        guard counts.allSatisfy({ $0 >= 0 }) else { throw TorchMessageError("a response has fewer than 0 tokens") }
        let total = counts.reduce(0) { $0 + Int($1) }
        let ids = try integers("tokens", count: total), versions = try integers("versions", count: total)
        let logprobs = try floats("logprobs", count: total)
        guard versions.allSatisfy({ $0 >= 0 }) else { throw TorchMessageError("a version is below 0") }
        var start = 0
        return zip(numbers, counts).map { number, count in
            let own = start..<start + Int(count)
            start = own.upperBound
            return TorchResponse(
                number: number, ids: Array(ids[own]), logprobs: Array(logprobs[own]),
                versions: versions[own].map { UInt64($0) })
        }
    }
}
