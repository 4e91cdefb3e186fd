import Distillation
import Engines
import Foundation
import Randomness
import Wire

/// The smallest language model there is: one distribution over 8 tokens, whatever came before. Token 0 stops.
struct UnigramModel: Sendable, Equatable {
    static let vocabulary = 8
    var logits: [Float]

    static let student = UnigramModel(logits: [0, 0.5, -0.5, 1, -1, 0.25, -0.25, 0])
    static func teacher(_ name: String) -> UnigramModel {
        switch name {
        case "default": UnigramModel(logits: [-1, 2, 0, 0, 1, -2, 1, 0.5])
        // It finds token 4 impossible.
        case "strict": UnigramModel(logits: [-1, 2, 0, 0, -1e4, -2, 1, 0.5])
        default: UnigramModel(logits: [0, -1, 1, 2, 0, 0, -1, 1])
        }
    }

    func logprobs(temperature: Float = 1) -> [Float] {
        let scaled = logits.map { Double($0 / temperature) }
        let normaliser = log(scaled.reduce(0) { $0 + exp($1) })
        return scaled.map { Float($0 - normaliser) }
    }

    func token(seed: UInt64, sample: UInt32, position: Int, temperature: Float) -> Int32 {
        let uniform = Double(CounterRandom(key: seed, UInt64(sample)).bits(UInt64(position)) >> 11) * 0x1p-53
        var sum = 0.0
        for (token, logprob) in logprobs(temperature: temperature).enumerated() {
            sum += exp(Double(logprob))
            if uniform < sum { return Int32(token) }
        }
        return Int32(Self.vocabulary - 1)
    }

    static let manifest = WeightManifest(
        matrixType: .f32, tensors: [.init(name: "logits", shape: [vocabulary], type: .f32, byteOffset: 0)],
        byteCount: vocabulary * 4)

    var bytes: WeightBytes {
        WeightBytes(count: logits.count * 4) { memory in logits.withUnsafeBytes { memory.copyMemory(from: $0) } }
    }

    init(logits: [Float]) { self.logits = logits }

    init(bytes: WeightBytes) {
        logits = bytes.withUnsafeBytes { raw in
            (0..<Self.vocabulary).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }
}

struct EngineFailure: Error, CustomStringConvertible {
    var description: String { "the engine failed" }
}

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

actor UnigramTeacher: ScoringBackend {
    nonisolated let tokenizerFingerprint: String
    nonisolated let preferredBatch = ScoringBatch(tokens: 4096, tasks: 64)
    private let spoils: @Sendable (WorkItem) -> Bool
    private let missing: Int

    /// - Parameters:
    ///   - missing: grades that it leaves out at the end of every response.
    ///   - spoils: the rollouts for which it gives no number.
    init(
        tokenizer: String = "unigram", missing: Int = 0,
        spoils: @escaping @Sendable (WorkItem) -> Bool = { _ in false }
    ) {
        tokenizerFingerprint = tokenizer
        self.missing = missing
        self.spoils = spoils
    }

    func score(_ tasks: [ScoreTask]) -> [[Float]] {
        tasks.map { task in
            let logprobs = UnigramModel.teacher(task.teacher).logprobs()
            let spoilt = spoils(WorkItem(id: task.id, kind: task.kind))
            return task.ids[task.promptCount...].dropLast(missing).map { spoilt ? .nan : logprobs[Int($0)] }
        }
    }

    nonisolated let mostTopTokens = UnigramModel.vocabulary

    func grade(_ tasks: [ScoreTask]) -> [Grade] {
        zip(tasks, score(tasks)).map { task, logprobs in
            let count = task.request.topCount
            let top = UnigramModel.teacher(task.teacher).top(count)
            let positions = logprobs.indices
            return Grade(
                logprobs: logprobs,
                top: count == 0
                    ? nil
                    : TopTokens(
                        count: count, ids: positions.flatMap { _ in top.ids },
                        logprobs: positions.flatMap { _ in top.logprobs.dropLast() },
                        tails: positions.map { _ in top.logprobs[count] }))
        }
    }
}

extension UnigramModel {
    /// The most probable tokens, ascending, and the log-probabilities of them and of the others together.
    func top(_ count: Int) -> (ids: [Int32], logprobs: [Float]) {
        let logprobs = logprobs()
        let ids = logprobs.indices.sorted { (logprobs[$1], $0) < (logprobs[$0], $1) }.prefix(count).sorted()
            .map { Int32($0) }
        return (ids, classLogprobs(ids, temperature: 1))
    }

    func classLogprobs(_ ids: [Int32], temperature: Float) -> [Float] {
        let logprobs = logprobs(temperature: temperature)
        let classes = TokenClasses(ids, vocabularySize: Self.vocabulary)!
        return classes.logprobs(logprobs.map(Double.init)).map { Float($0) }
    }
}

/// Gradient descent with momentum: state beside the weights, as a real optimizer has.
actor UnigramTrainer: TrainingBackend, SupervisedBackend {
    nonisolated let tokenizerFingerprint: String
    private(set) var model: UnigramModel
    private var momentum = [Float](repeating: 0, count: UnigramModel.vocabulary)
    private var dead = false
    private let duration: Duration
    private let explodesAt: Set<UInt64>
    private let saving: Double

    /// - Parameters:
    ///   - explodesAt: completed steps after which the gradient is no number.
    ///   - saving: seconds that it takes to write its state.
    init(
        _ model: UnigramModel = .student, duration: Duration = .milliseconds(5), explodesAt: Set<UInt64> = [],
        saving: Double = 0, tokenizer: String = "unigram"
    ) {
        tokenizerFingerprint = tokenizer
        self.saving = saving
        self.model = model
        self.duration = duration
        self.explodesAt = explodesAt
    }

    private(set) var stepsBegun = 0

    /// From now on everything fails: what a killed process cannot do.
    func kill() { dead = true }

    func step(
        _ batch: [ScoredTrajectory], objective: Objective, learningRate: Double, version: UInt64
    ) async throws -> StepResult {
        stepsBegun += 1
        try? await Task.sleep(for: duration)
        if dead { throw EngineFailure() }
        var statistics = BatchStatistics()
        let count = responseTokenCount(batch), baseline = objective.baseline(of: batch)
        var gradient = [Float](repeating: 0, count: UnigramModel.vocabulary)
        let rewards = objective.rewardAdvantages(of: batch)
        for (scored, reward) in zip(batch, rewards) {
            let ids = scored.trajectory.responseIDs
            let logprobs = model.logprobs(temperature: objective.temperature(of: scored.trajectory))
            let coefficients = objective.gradient(
                of: scored, current: ids.map { logprobs[Int($0)] }, baseline: baseline, rewardAdvantage: reward,
                tokenCount: count, version: version, statistics: &statistics)
            add(coefficients, of: ids, logprobs, to: &gradient)
            if objective.hasClasses(scored), let top = scored.top {
                let listed = ids.indices.map { Array(top.ids[$0 * top.count..<($0 + 1) * top.count]) }
                let temperature = objective.temperature(of: scored.trajectory)
                let pulls = objective.pulls(
                    of: scored, current: listed.flatMap { model.classLogprobs($0, temperature: temperature) },
                    tokenCount: count, statistics: &statistics)
                for (position, ids) in listed.enumerated() {
                    let own = pulls[position * (top.count + 1)..<(position + 1) * (top.count + 1)]
                    add(pulls: Array(own), of: ids, logprobs, to: &gradient)
                }
            }
        }
        return apply(gradient, statistics, learningRate, version)
    }

    private func add(pulls: [Float], of ids: [Int32], _ logprobs: [Float], to gradient: inout [Float]) {
        let sum = pulls.reduce(0, +)
        let tail = gradient.indices.filter { !ids.contains(Int32($0)) }
        let mass = tail.reduce(Float(0)) { $0 + Float(exp(Double(logprobs[$1]))) }
        for token in gradient.indices {
            let p = Float(exp(Double(logprobs[token])))
            let own = ids.firstIndex(of: Int32(token)).map { pulls[$0] } ?? pulls[ids.count] * p / mass
            gradient[token] += own - p * sum
        }
    }

    /// The same on the cross-entropy of given responses.
    func step(_ examples: [SupervisedExample], learningRate: Double, version: UInt64) async throws -> StepResult {
        stepsBegun += 1
        try? await Task.sleep(for: duration)
        if dead { throw EngineFailure() }
        var statistics = BatchStatistics()
        let count = examples.reduce(0) { $0 + $1.responseIDs.count }
        var gradient = [Float](repeating: 0, count: UnigramModel.vocabulary)
        let logprobs = model.logprobs()
        for example in examples {
            statistics.add(exampleOf: example.responseIDs.count)
            let coefficients = crossEntropyGradient(
                current: example.responseIDs.map { logprobs[Int($0)] }, tokenCount: count, statistics: &statistics)
            add(coefficients, of: example.responseIDs, logprobs, to: &gradient)
        }
        return apply(gradient, statistics, learningRate, version)
    }

    private func add(_ coefficients: [Float], of ids: [Int32], _ logprobs: [Float], to gradient: inout [Float]) {
        for (id, coefficient) in zip(ids, coefficients) {
            for token in gradient.indices {
                let p = Float(exp(Double(logprobs[token])))
                gradient[token] += coefficient * ((token == Int(id) ? 1 : 0) - p)
            }
        }
    }

    private func apply(
        _ gradient: [Float], _ statistics: BatchStatistics, _ learningRate: Double, _ version: UInt64
    ) -> StepResult {
        if explodesAt.contains(version) {
            return StepResult(statistics: statistics, gradNorm: .infinity, applied: false)
        }
        for token in gradient.indices {
            momentum[token] = 0.5 * momentum[token] + gradient[token]
            model.logits[token] -= Float(learningRate) * momentum[token]
        }
        let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return StepResult(statistics: statistics, gradNorm: norm)
    }

    nonisolated var weightManifest: WeightManifest { UnigramModel.manifest }

    func writeWeights(to place: WeightPlace) throws {
        if dead { throw EngineFailure() }
        model.logits.withUnsafeBytes { logits in place.memory.withBytes { $0.copyMemory(from: logits) } }
    }

    func holdState() -> HeldState {
        let values = [model.logits, momentum], dead = dead, saving = saving
        return HeldState(
            write: { folder in
                if dead { throw EngineFailure() }
                Thread.sleep(forTimeInterval: saving)
                try JSONEncoder().encode(values).write(to: URL(fileURLWithPath: "\(folder)/unigram.json"))
            }, release: {})
    }

    func restore(from folder: String) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/unigram.json"))
        let state = try JSONDecoder().decode([[Float]].self, from: data)
        model.logits = state[0]
        momentum = state[1]
    }
}
