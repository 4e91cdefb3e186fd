import Compute
import Distillation
import Glibc
import Models
import Rules
import Training
import Transformers

/// Training steps on whole distributions beside those on sampled tokens, in turns, on random token ids.
package struct DivergenceMeasurement {
    /// What a step compares.
    package enum Support: String, Sendable, CaseIterable { case sampled, topK = "top_k", full }

    /// The median of each support's seconds a step.
    package private(set) var seconds: [Support: Double] = [:]
    /// The median of its share of the sampled token's step of the same turn.
    package private(set) var ratios: [Support: Double] = [:]
    /// The same of the processor's time, all threads together, which others on the machine hardly change.
    package private(set) var processorRatios: [Support: Double] = [:]
    /// The operations of all measured steps of a support, the longest first, and their seconds; none where none were
    /// asked for.
    package private(set) var profiles: [Support: (operations: [ModelMeasurement.Operation], seconds: Double)] = [:]

    /// Loads the model, which is its own teacher, and trains.
    /// - Parameters:
    ///   - batch: sequences of a step.
    ///   - tokens: response tokens of each, behind one of prompt.
    ///   - topK: listed tokens of a position, below the vocabulary's size.
    ///   - turns: measured ones, each of one step of every support, after one that is not measured.
    package init(
        of files: ModelFiles, batch: Int, tokens: Int, topK: Int, type: ElementType, threads: Int, turns: Int,
        isProfiled: Bool
    ) throws {
        let trainer = Trainer(
            configuration: files.configuration, masters: try ParameterBuffer(reading: files), type: type,
            threads: threads)
        trainer.teacherHeads["teacher"] = try TeacherHead(files, type: type, context: trainer.context)
        let load = Load(files.configuration, batch: batch, tokens: tokens, topK: topK, type: type)
        trainer.comparison = TeacherComparison(
            HeadDivergence(.reverseKL), weight: Float(load.method.weight(tokenCount: batch * tokens)))
        var times: [[Support: Double]] = [], processorTimes: [[Support: Double]] = []
        var profiles: [Support: OperationProfile] = [:]
        for turn in 0...turns {
            var measured: [Support: Double] = [:], processor: [Support: Double] = [:]
            for support in Support.allCases {
                if isProfiled, turn > 0 { trainer.context.profile = profiles[support] ?? OperationProfile() }
                let start = ContinuousClock.now, used = Self.processorSeconds
                load.step(trainer, support)
                measured[support] = (ContinuousClock.now - start) / .seconds(1)
                processor[support] = Self.processorSeconds - used
                if isProfiled, turn > 0 { profiles[support] = trainer.context.profile }
            }
            if turn > 0 {
                times.append(measured)
                processorTimes.append(processor)
            }
        }
        for support in Support.allCases {
            let own = times.compactMap { $0[support] }
            seconds[support] = Self.median(own)
            ratios[support] = Self.medianRatio(times, support)
            processorRatios[support] = Self.medianRatio(processorTimes, support)
            if let profile = profiles[support] {
                self.profiles[support] = (profile.operations, own.reduce(0, +))
            }
        }
    }

    private static func medianRatio(_ turns: [[Support: Double]], _ support: Support) -> Double {
        median(turns.map { ($0[support] ?? .nan) / ($0[.sampled] ?? .nan) })
    }

    private static var processorSeconds: Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// The same responses three times: alone, with listed tokens, with a teacher's last hidden states.
private struct Load {
    let method = DistributionMatching(.reverseKL)
    private let sequences: [DivergenceMeasurement.Support: [TrainingSequence]]
    private let topK: Int
    private let count: Int

    init(_ configuration: ModelConfiguration, batch: Int, tokens: Int, topK: Int, type: ElementType) {
        let ids = 0..<Int32(configuration.vocabularySize)
        let plain = (0..<batch).map { _ in
            TrainingSequence(promptIDs: [1], responseIDs: (0..<tokens).map { _ in Int32.random(in: ids) })
        }
        var listed = plain, whole = plain
        for index in plain.indices {
            listed[index].classIDs = (0..<tokens).flatMap { _ in
                var chosen: Set<Int32> = []
                while chosen.count < topK { chosen.insert(Int32.random(in: ids)) }
                return chosen.sorted()
            }
            let numbers = (0..<tokens * configuration.hiddenSize).map { _ in Float.random(in: -1...1) }
            let bytes =
                type == .f32
                ? numbers.withUnsafeBytes { [UInt8]($0) }
                : numbers.map { UInt16(truncatingIfNeeded: $0.bitPattern >> 16) }.withUnsafeBytes { [UInt8]($0) }
            whole[index].compare(with: TeacherStates(label: "teacher", bytes: bytes))
        }
        sequences = [.sampled: plain, .topK: listed, .full: whole]
        self.topK = topK
        count = batch * tokens
    }

    func step(_ trainer: Trainer, _ support: DivergenceMeasurement.Support) {
        let sequences = sequences[support] ?? []
        let scale: Float = support == .sampled ? -1 / Float(count) : 0
        var statistics = BatchStatistics()
        _ = trainer.step(
            sequences, learningRate: 1e-6,
            pulls: { index, evaluation in
                method.pulls(
                    of: graded(sequences[index], index), current: evaluation.classes, tokenCount: count,
                    statistics: &statistics)
            },
            compared: { _, found in method.note(DistributionComparison(found), statistics: &statistics) }
        ) { _, evaluation in [Float](repeating: scale, count: evaluation.logprobs.count) }
    }

    /// A response with listed tokens that are all equally probable.
    private func graded(_ sequence: TrainingSequence, _ index: Int) -> ScoredTrajectory {
        let each = -log(Float(topK + 1))
        return ScoredTrajectory(
            trajectory: Trajectory(
                id: RolloutID(group: 0, sample: UInt32(index)), kind: .train, teacher: "teacher",
                promptIDs: sequence.promptIDs, responseIDs: sequence.responseIDs, behaviourLogprobs: [],
                policyVersions: [], finishReason: .length, temperature: 1),
            teacherLogprobs: [],
            top: TopTokens(
                count: topK, ids: sequence.classIDs,
                logprobs: [Float](repeating: each, count: sequence.classIDs.count),
                tails: [Float](repeating: each, count: sequence.responseIDs.count)))
    }
}
