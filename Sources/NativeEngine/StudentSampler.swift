import Compute
import Distillation
import Engines
import Generation
import Locking
import Models
import Rules
import StudentWeights
import Transformers
import Wire

/// The rollout worker's engine: a student, or a teacher that it imitates, with continuous batching, on a thread of its
/// own.
///
/// It samples in slices, one token of every active sequence, between which new weights and tasks are taken in.
package actor StudentSampler: RolloutBackend, ScoringBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var arithmetic: String? { ComputeContext.arithmetic }
    package nonisolated let weightByteCount: Int?
    package nonisolated let slots: Int
    package nonisolated let preferredBatch = ScoringBatch.native
    package nonisolated let mostTopTokens: Int
    package nonisolated let events: AsyncThrowingStream<SamplingEvent, any Error>
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// What it takes as weights.
    private let manifest: WeightManifest
    /// Where adapters alone are broadcast: the model below them, and what they look like.
    private let adapted: (files: ModelFiles, layout: AdapterLayout, snapshot: AdapterSnapshot)?
    private let model: LanguageModel
    private let engine: GenerationEngine
    private var tasks: [UInt64: RolloutTask] = [:]
    private var nextRequest: UInt64 = 0
    private let continuation: AsyncThrowingStream<SamplingEvent, any Error>.Continuation
    /// Whether the next slice is among the actor's jobs.
    private var isSampling = false

    /// Loads the model.
    /// - Parameters:
    ///   - adapters: of the run; nil: all weights are trained.
    package init(
        _ files: ModelFiles, type: ElementType, _ options: SamplerOptions, adapters: AdapterLayout? = nil
    ) throws {
        let slots = options.slots
        let tokenizer = try files.loadTokenizer()
        tokenizerFingerprint = tokenizer.fingerprint
        executor = PinnedThreadExecutor(name: "sampler")
        (events, continuation) = AsyncThrowingStream.makeStream()
        self.slots = slots
        mostTopTokens = min(TopTokens.mostTokens, files.configuration.vocabularySize)
        let model = try LanguageModel(files, type: type, threads: options.threads)
        self.model = model
        adapted = try adapters.map { layout in
            (files, layout, AdapterSnapshot(layout.places, baseFingerprint: try files.fingerprint()))
        }
        manifest = WeightManifest(
            adapted?.snapshot.manifest ?? model.broadcastLayout.manifest, computedIn: type.weightType)
        weightByteCount = manifest.byteCount
        engine = GenerationEngine(
            model: model, slots: slots, tokenizer: tokenizer, renewsCaches: options.renewsCaches)
    }

    package func replaceWeights(_ bytes: WeightBytes, _ sent: WeightManifest, version: UInt64) throws {
        try manifest.accept(bytes, sent, version: version, use: "computes in")
        if let (files, layout, snapshot) = adapted {
            do {
                let adapters = try snapshot.read(bytes.bytes, layout, owner: bytes)
                return try engine.apply(adapters, to: files, version: version)
            } catch {
                throw EngineError("weights of version \(version): \(error)")
            }
        }
        engine.replaceWeights(bytes.bytes, owner: bytes, version: version)
    }

    package func submit(_ newTasks: [RolloutTask]) throws {
        let first = nextRequest + 1
        let requests = zip(first..., newTasks).map { id, task in
            var request = SampleRequest(
                id: id, promptIDs: task.promptIDs, seed: task.seed, sample: task.id.sample,
                parameters: task.sampling)
            request.firstPosition = task.firstPosition
            return request
        }
        try engine.submit(requests)
        // What the engine refuses is nobody's task.
        for (id, task) in zip(first..., newTasks) { tasks[id] = task }
        nextRequest += UInt64(newTasks.count)
        goOn()
    }

    /// Has the next slice sampled, behind the jobs that this actor has already.
    private func goOn() {
        guard !isSampling, !tasks.isEmpty else { return }
        isSampling = true
        Task { sampleSlice() }
    }

    private func sampleSlice() {
        isSampling = false
        // What was left may have been cancelled meanwhile.
        guard !tasks.isEmpty else { return }
        let completed = advance()
        continuation.yield(completed.isEmpty ? .progress : .completed(completed))
        goOn()
    }

    private func advance() -> [Trajectory] {
        engine.step().compactMap { sample in
            guard let task = tasks.removeValue(forKey: sample.id) else { return nil }
            return Trajectory(
                id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs,
                responseIDs: sample.ids, behaviourLogprobs: sample.logprobs,
                policyVersions: PolicyVersions(sample.versions),
                finishReason: sample.finishReason, temperature: task.sampling.temperature)
        }
    }

    /// Scores with the weights that it samples with.
    package func score(_ tasks: [ScoreTask]) throws -> [[Float]] {
        try ScoringEngine(model: model).score(tasks.map(\.tokens))
    }

    /// Grades with the weights that it samples with.
    package func grade(_ tasks: [ScoreTask]) throws -> [Grade] {
        try ScoringEngine(model: model).grade(tasks)
    }

    package func cancel(_ items: Set<WorkItem>) {
        engine.cancel { id in
            guard let task = tasks[id], items.contains(WorkItem(id: task.id, kind: task.kind)) else { return false }
            tasks[id] = nil
            return true
        }
        continuation.yield(.cancelled(items))
    }
}
