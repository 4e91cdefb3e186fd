import Distillation
import Engines
import NativeEngine
import Synchronization
import Wire

/// A sampler as another process would be: it answers late and out of order, some things twice, some that nobody asked
/// for, and it hears late of what is cancelled.
actor DistantSampler: RolloutBackend {
    nonisolated let tokenizerFingerprint = "unigram"
    nonisolated let arithmetic: String? = "elsewhere"
    nonisolated let isReproducible = false
    nonisolated let weightByteCount: Int? = nil
    nonisolated let slots = 5
    nonisolated let events: AsyncThrowingStream<SamplingEvent, any Error>
    private let continuation: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    private var model: UnigramModel?
    private var version: UInt64 = 0
    private(set) var answered = 0

    init() { (events, continuation) = AsyncThrowingStream.makeStream() }

    func replaceWeights(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) {
        model = UnigramModel(bytes: bytes)
        self.version = version
    }

    func submit(_ tasks: [RolloutTask]) throws {
        guard model != nil, tasks.allSatisfy({ $0.minimumVersion <= version }) else { throw EngineFailure() }
        for (place, task) in tasks.enumerated() {
            // The first of a group is the last to be answered.
            let delay = Duration.milliseconds(3 * (tasks.count - place))
            Task {
                try await Task.sleep(for: delay)
                answer(task)
            }
        }
    }

    private func answer(_ task: RolloutTask) {
        guard let model else { return }
        answered += 1
        let trajectory = model.response(to: task, version: version)
        var foreign = trajectory
        foreign.id = RolloutID(group: trajectory.id.group + 1_000_000, sample: trajectory.id.sample)
        continuation.yield(.progress)
        continuation.yield(.completed([foreign, trajectory]))
        continuation.yield(.completed([trajectory]))
    }

    func cancel(_ items: Set<WorkItem>) {
        Task {
            try await Task.sleep(for: .milliseconds(10))
            continuation.yield(.cancelled(items))
        }
    }
}

/// A sampler that does what a test says, and nothing else.
final class ScriptedSampler: RolloutBackend {
    let tokenizerFingerprint = "unigram"
    let weightByteCount: Int? = nil
    let slots = 2
    let events: AsyncThrowingStream<SamplingEvent, any Error>
    let script: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    private let heard = Mutex<(submitted: [RolloutTask], cancelled: [Set<WorkItem>])>(([], []))

    init() { (events, script) = AsyncThrowingStream.makeStream() }

    var submitted: [RolloutTask] { heard.withLock { $0.submitted } }
    var cancelled: [Set<WorkItem>] { heard.withLock { $0.cancelled } }

    func replaceWeights(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) {}
    func submit(_ tasks: [RolloutTask]) { heard.withLock { $0.submitted += tasks } }
    func cancel(_ items: Set<WorkItem>) { heard.withLock { $0.cancelled.append(items) } }
}

/// A teacher whose answers take their time, and which holds few tasks at once.
actor SlowTeacher: ScoringBackend {
    nonisolated let tokenizerFingerprint = "unigram"
    nonisolated let preferredBatch = ScoringBatch(tokens: 12, tasks: 2)
    private(set) var largest = 0

    func score(_ tasks: [ScoreTask]) async throws -> [[Float]] {
        largest = max(largest, tasks.count)
        try await Task.sleep(for: .milliseconds(5))
        return tasks.map { task in
            let logprobs = UnigramModel.teacher(task.teacher).logprobs()
            return task.ids[task.promptCount...].map { logprobs[Int($0)] }
        }
    }
}

extension UnigramModel {
    /// A whole response at once.
    func response(to task: RolloutTask, version: UInt64) -> Trajectory {
        let temperature = task.sampling.temperature, logprobs = logprobs(temperature: temperature)
        var ids: [Int32] = []
        var reason = FinishReason.length
        while ids.count < task.sampling.maxTokens, reason == .length {
            let token = token(
                seed: task.seed, sample: task.id.sample, position: ids.count, temperature: temperature)
            ids.append(token)
            if task.sampling.stopTokenIDs.contains(token) { reason = .stop }
        }
        return Trajectory(
            id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: ids,
            behaviourLogprobs: ids.map { logprobs[Int($0)] },
            policyVersions: PolicyVersions(repeating: version, count: ids.count), finishReason: reason,
            temperature: temperature)
    }
}

/// Unigram models in place of every model's weights; the native engine describes the files.
struct UnigramFactory: EngineFactory {
    func describe(_ model: ModelReference) throws -> ModelDescription { try NativeEngineFactory().describe(model) }

    func trainer(
        _ model: ModelReference, _ options: TrainerOptions
    ) throws -> any TrainingBackend & SupervisedBackend {
        UnigramTrainer(tokenizer: try describe(model).tokenizerFingerprint)
    }

    func sampler(_ model: ModelReference, _ options: SamplerOptions) throws -> any RolloutBackend {
        try evaluator(model, options)
    }

    func evaluator(
        _ model: ModelReference, _ options: SamplerOptions
    ) throws -> any RolloutBackend & ScoringBackend {
        UnigramSampler(.student, tokenizer: try describe(model).tokenizerFingerprint)
    }

    func scorer(_ model: ModelReference, _ options: ScorerOptions) throws -> any ScoringBackend {
        UnigramTeacher(tokenizer: try describe(model).tokenizerFingerprint)
    }

    func create(_ shape: InitialShape, seed: UInt64, at path: String) throws -> Int {
        try NativeEngineFactory().create(shape, seed: seed, at: path)
    }
}
