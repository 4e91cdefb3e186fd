import Distillation
import Engines
import Foundation
import Wire

/// Gradient descent with momentum: state beside the weights, as a real optimizer has.
actor UnigramTrainer: TrainingBackend, SupervisedBackend {
    nonisolated let tokenizerFingerprint: String
    private(set) var model: UnigramModel
    private var momentum = [Float](repeating: 0, count: UnigramModel.vocabulary)
    private var dead = false
    private let duration: Duration
    private let explodesAt: Set<UInt64>
    private let saving: Double
    private let shift: Float
    private let decay: Float
    private(set) var averages: [String: [Float]]

    /// - Parameters:
    ///   - explodesAt: completed steps after which the gradient is no number.
    ///   - saving: seconds that it takes to write its state.
    ///   - shift: what every step adds to the logit of token 1, whatever the gradient.
    ///   - averages: teachers for which an average is kept, of which a step keeps `decay`.
    init(
        _ model: UnigramModel = .student, duration: Duration = .milliseconds(5), explodesAt: Set<UInt64> = [],
        saving: Double = 0, tokenizer: String = "unigram", shiftedBy shift: Float = 0,
        averages: [String] = [], decay: Float = 0.5
    ) {
        tokenizerFingerprint = tokenizer
        self.saving = saving
        self.shift = shift
        self.decay = decay
        self.averages = Dictionary(uniqueKeysWithValues: averages.map { ($0, model.logits) })
        self.model = model
        self.duration = duration
        self.explodesAt = explodesAt
    }

    private(set) var stepsBegun = 0

    /// Everything fails from now on: what a killed process cannot do.
    func kill() { dead = true }

    func step(
        _ batch: [ScoredTrajectory], given: GivenResponses?, objective: Objective, learningRate: Double, version: UInt64
    ) async throws -> StepResult {
        stepsBegun += 1
        try? await Task.sleep(for: duration)
        if dead { throw EngineFailure() }
        var statistics = BatchStatistics()
        let count = responseTokenCount(batch), baseline = objective.baseline(of: batch)
        var gradient = [Float](repeating: 0, count: UnigramModel.vocabulary)
        let rewards = objective.rewardAdvantages(of: batch)
        for example in given?.examples ?? [] {
            let logprobs = model.logprobs(), ids = example.responseIDs
            let coefficients = given?.gradient(current: ids.map { logprobs[Int($0)] }, statistics: &statistics) ?? []
            add(coefficients, of: ids, logprobs, to: &gradient)
        }
        for (scored, reward) in zip(batch, rewards) {
            let ids = scored.trajectory.responseIDs
            let logprobs = model.logprobs(temperature: objective.temperature(of: scored.trajectory))
            let coefficients = objective.gradient(
                of: scored, current: ids.map { logprobs[Int($0)] }, baseline: baseline, rewardAdvantage: reward,
                tokenCount: count, version: version, statistics: &statistics)
            add(coefficients, of: ids, logprobs, to: &gradient)
            if objective.distribution != nil, let top = scored.top {
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
        model.logits[1] += shift
        for teacher in averages.keys {
            averages[teacher] = averages[teacher].map { average in
                zip(average, model.logits).map { decay * $0 + (1 - decay) * $1 }
            }
        }
        let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return StepResult(statistics: statistics, gradNorm: norm)
    }

    nonisolated var weightManifest: WeightManifest { UnigramModel.manifest }

    func writeWeights(to place: WeightPlace) throws { try write(model.logits, to: place) }

    func writeAverage(of teacher: String, to place: WeightPlace) throws {
        guard let logits = averages[teacher] else { throw EngineFailure() }
        try write(logits, to: place)
    }

    private func write(_ logits: [Float], to place: WeightPlace) throws {
        if dead { throw EngineFailure() }
        logits.withUnsafeBytes { logits in place.memory.withBytes { $0.copyMemory(from: logits) } }
    }

    func holdState() -> HeldState {
        let dead = dead, saving = saving
        let values = [model.logits, momentum] + averages.sorted { $0.key < $1.key }.map(\.value)
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
        for (teacher, logits) in zip(averages.keys.sorted(), state.dropFirst(2)) { averages[teacher] = logits }
    }
}
