import Distillation
import Tokens

/// A batch as a trainer computes it: sequences, of which it finds s, and dL/ds of each, which it takes back.
package struct TrainingBatch: Sendable {
    /// A prompt, which carries no loss, and its response, of whose predicted tokens alone it is asked.
    package struct Sequence: TokenSequenceHolder, Sendable, Equatable {
        package var tokens: TokenSequence
        /// The temperature at which s is taken, the one that was sampled at; 0 counts as 1.
        package var temperature: Float
        /// Whether the response was drawn from a model token by token, or is given as a text.
        package var isDrawn: Bool
        /// Tokens of every position of the response that are classes of their own beside all others together; nil: there
        /// are no classes, and the response's tokens alone are asked about.
        package var classes: ClassLists?
        /// The last hidden states of the teacher of this label, at every position of the response, with whose whole
        /// distribution the student's is compared; nil: with none.
        package var hidden: HiddenStates?
        package var teacher = ""
        /// Whether what is measured of a step, such as its entropy, is of this response too: not of one that is given
        /// beside sampled ones.
        package var isMeasured = true

        package init(_ tokens: TokenSequence, temperature: Float, isDrawn: Bool) {
            self.tokens = tokens
            self.temperature = temperature
            self.isDrawn = isDrawn
        }
    }

    package let sequences: [Sequence]
    /// dL/ds of sequence `index`, from s of its response tokens; asked once of every sequence, in order.
    package let gradient: @Sendable (_ index: Int, _ current: [Float], _ statistics: inout BatchStatistics) -> [Float]
    /// What the classes of sequence `index` are pulled by, from their log-probabilities, position by position and the last
    /// that of all tokens which are no class: dL/dz_j = pull_j - p_j sum(pulls) for the logit of a class, and its share of
    /// that for each of the others. Asked after `gradient` of a sequence that has classes.
    package let pulls: @Sendable (_ index: Int, _ current: [Float], _ statistics: inout BatchStatistics) -> [Float]

    /// How sequences with hidden states are compared: L has weight times the sum of the divergences of their positions,
    /// over the whole vocabulary or, with a listing, over classes.
    package let comparison: (divergence: Divergence, weight: Double, listing: TokenListing?)?
    /// What the classes of a listing are pulled by at some positions, as `pulls` tells it of a sequence's own.
    package let listedPulls: @Sendable (_ tokens: ListedTokens, _ statistics: inout BatchStatistics) -> [Float]
    /// Told what was found of such a sequence, one value of each kind a response token.
    package let compared:
        @Sendable (_ index: Int, _ found: DistributionComparison, _ statistics: inout BatchStatistics) -> Void

    /// Whether some sequence needs more than its own tokens' log-probabilities, which not every trainer knows.
    package var hasClasses: Bool { sequences.contains { $0.classes != nil || $0.hidden != nil } }

    /// What the method makes of responses.
    /// - Parameters:
    ///   - given: what is imitated beside them; its sequences come after those of the batch.
    ///   - version: completed steps before this one.
    package init(_ batch: [ScoredTrajectory], given: GivenResponses? = nil, objective: Objective, version: UInt64) {
        let tokenCount = responseTokenCount(batch)
        let baseline = objective.baseline(of: batch), rewards = objective.rewardAdvantages(of: batch)
        let sampled = batch.map { scored in
            var sequence = Sequence(
                scored.trajectory.tokens, temperature: objective.temperature(of: scored.trajectory), isDrawn: true)
            sequence.classes = objective.classes(of: scored)
            if objective.distribution != nil, let hidden = scored.hidden {
                (sequence.hidden, sequence.teacher) = (hidden, scored.trajectory.teacher ?? "")
            }
            return sequence
        }
        sequences =
            sampled
            + (given?.examples ?? []).map { example in
                var sequence = Sequence(example, temperature: 1, isDrawn: false)
                sequence.isMeasured = false
                return sequence
            }
        gradient = { index, current, statistics in
            if index >= batch.count, let given { return given.gradient(current: current, statistics: &statistics) }
            return objective.gradient(
                of: batch[index], current: current, baseline: baseline, rewardAdvantage: rewards[index],
                tokenCount: tokenCount, version: version, statistics: &statistics)
        }
        pulls = { index, current, statistics in
            objective.pulls(of: batch[index], current: current, tokenCount: tokenCount, statistics: &statistics)
        }
        let method = objective.distribution
        comparison = method.map { ($0.divergence, $0.weight(tokenCount: tokenCount), $0.listing) }
        listedPulls = { tokens, statistics in
            method?.pulls(of: tokens, tokenCount: tokenCount, statistics: &statistics) ?? []
        }
        compared = { _, found, statistics in method?.note(found, statistics: &statistics) }
    }

    /// The mean cross-entropy of given responses.
    package init(_ examples: [SupervisedExample]) {
        let tokenCount = examples.reduce(0) { $0 + $1.responseIDs.count }
        sequences = examples.map { Sequence($0, temperature: 1, isDrawn: false) }
        gradient = { _, current, statistics in
            statistics.add(exampleOf: current.count)
            return crossEntropyGradient(current: current, tokenCount: tokenCount, statistics: &statistics)
        }
        pulls = { _, _, _ in [] }
        comparison = nil
        listedPulls = { _, _ in [] }
        compared = { _, _, _ in }
    }
}

/// A trainer that is told by ``TrainingBatch`` what a step minimises, and knows no method.
package protocol BatchTrainer: TrainingBackend, SupervisedBackend {
    /// One optimizer step, with the promises of `TrainingBackend.step`.
    func step(_ batch: TrainingBatch, learningRate: Double, version: UInt64) async throws -> StepResult
}

extension BatchTrainer {
    package func step(
        _ batch: [ScoredTrajectory], given: GivenResponses?, objective: Objective, learningRate: Double, version: UInt64
    ) async throws -> StepResult {
        try await step(
            TrainingBatch(batch, given: given, objective: objective, version: version), learningRate: learningRate,
            version: version)
    }

    package func step(
        _ examples: [SupervisedExample], learningRate: Double, version: UInt64
    ) async throws -> StepResult {
        try await step(TrainingBatch(examples), learningRate: learningRate, version: version)
    }
}

extension EngineError {
    /// Why a trainer that asks about the response's tokens alone cannot take a batch.
    package static let noClasses = EngineError(
        "the engine that trains compares sampled tokens alone; set objective.divergence to sampled, or student.engine to "
            + "native")

    /// Why a trainer that takes the whole of a response for sampled cannot take a batch.
    package static let noGivenTokens = EngineError(
        "the engine that trains knows no tokens of an environment; leave out data.environment, or set student.engine to "
            + "native")

    /// Why weights that an update has spoilt end a run.
    package static func spoiltWeights(afterStep step: UInt64) -> EngineError {
        EngineError(
            "step \(step): a weight is not finite after the update, which is in no checkpoint; go on from the last "
                + "checkpoint as another run, with --from and a lower training.learning_rate")
    }
}
