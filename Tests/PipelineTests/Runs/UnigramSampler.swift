import Distillation
import Engines
import Wire

/// A rollout worker's engine that draws from a unigram model, a token of every sequence at a time.
actor UnigramSampler: RolloutBackend, ScoringBackend {
    nonisolated let tokenizerFingerprint: String
    nonisolated let weightByteCount: Int? = UnigramModel.vocabulary * 4
    nonisolated let slots = 6
    nonisolated let preferredBatch = ScoringBatch(tokens: 4096, tasks: 64)
    nonisolated let events: AsyncThrowingStream<SamplingEvent, any Error>
    private let continuation: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    private var isSampling = false
    private var model: UnigramModel?
    private var version: UInt64 = 0
    private var active: [Trajectory] = []
    private var tasks: [RolloutTask] = []
    private let pause: Duration
    private let isBroken: Bool
    private(set) var submitted = 0
    private(set) var replaced = 0
    /// Replacements of weights beside sequences under way.
    private(set) var replacedBeside = 0

    /// - Parameters:
    ///   - model: with which it begins; nil: with none.
    ///   - isBroken: whether it computes no number.
    init(
        _ model: UnigramModel? = nil, tokenizer: String = "unigram", pause: Duration = .microseconds(200),
        isBroken: Bool = false
    ) {
        self.model = model
        tokenizerFingerprint = tokenizer
        self.pause = pause
        self.isBroken = isBroken
        (events, continuation) = AsyncThrowingStream.makeStream()
    }

    func replaceWeights(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) {
        model = UnigramModel(bytes: bytes)
        self.version = version
        replaced += 1
        if !active.isEmpty { replacedBeside += 1 }
    }

    func submit(_ tasks: [RolloutTask]) throws {
        guard model != nil, tasks.allSatisfy({ $0.minimumVersion <= version }) else { throw EngineFailure() }
        submitted += tasks.count
        for task in tasks {
            self.tasks.append(task)
            active.append(
                Trajectory(
                    id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: [],
                    behaviourLogprobs: [], policyVersions: [], finishReason: .length,
                    temperature: task.sampling.temperature))
        }
        if !isSampling {
            isSampling = true
            Task { await sampleAll() }
        }
    }

    private func sampleAll() async {
        while !active.isEmpty {
            try? await Task.sleep(for: pause)
            guard let model else { return continuation.finish(throwing: EngineFailure()) }
            continuation.yield(.completed(advance(model)))
        }
        isSampling = false
    }

    /// One token of every active sequence.
    private func advance(_ model: UnigramModel) -> [Trajectory] {
        var completed: [Trajectory] = []
        for index in active.indices.reversed() {
            let task = tasks[index]
            let token = model.token(
                seed: task.seed, sample: task.id.sample, position: active[index].responseIDs.count,
                temperature: task.sampling.temperature)
            active[index].responseIDs.append(token)
            let logprobs = model.logprobs(temperature: task.sampling.temperature)
            active[index].behaviourLogprobs.append(isBroken ? .nan : logprobs[Int(token)])
            active[index].policyVersions.append(version)
            let stopped = task.sampling.stopTokenIDs.contains(token)
            guard stopped || active[index].responseIDs.count == task.sampling.maxTokens else { continue }
            active[index].finishReason = stopped ? .stop : .length
            completed.append(active.remove(at: index))
            tasks.remove(at: index)
        }
        return completed
    }

    func score(_ tasks: [ScoreTask]) throws -> [[Float]] {
        guard let logprobs = model?.logprobs() else { throw EngineFailure() }
        return tasks.map { task in task.ids[task.promptCount...].map { logprobs[Int($0)] } }
    }

    func cancel(_ items: Set<WorkItem>) {
        for index in active.indices.reversed()
        where items.contains(WorkItem(id: active[index].id, kind: active[index].kind)) {
            active.remove(at: index)
            tasks.remove(at: index)
        }
        continuation.yield(.cancelled(items))
    }
}
