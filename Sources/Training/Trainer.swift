import Compute
import Models
import Rules
import Tokens
import Transformers

/// Master weights, optimizer state and the training step. Belongs to one actor.
///
/// The step sees the batch in the order given and reduces in one fixed order: same batch, same bits, whatever the number
/// of threads.
package final class Trainer {
    /// What one optimizer step reports.
    package struct StepStatistics: Sendable {
        /// Global norm of the gradient before clipping.
        package let gradientNorm: Double
        /// Whether the weights were updated: not when the gradient was not finite, or the update was called off.
        package let applied: Bool
        /// Whether the weights are ``Trainer/isFinite`` after the step, if it was applied.
        package let leavesFinite: Bool
        /// The evaluation of each sequence of the batch, under the weights before the step.
        package let evaluations: [ResponseEvaluation]
    }

    package let configuration: ModelConfiguration
    package let type: ElementType
    package let options: OptimizerOptions
    /// Optimizer steps taken.
    package var stepCount = 0

    /// What is trained: all parameters, or adapters.
    package let masters: ParameterBuffer
    /// What is frozen below adapters; nil: nothing is.
    package let adaptation: Adaptation?
    package let firstMoment: ParameterBuffer
    package let secondMoment: ParameterBuffer
    package let gradients: ParameterBuffer
    package let context: ComputeContext
    let transformer: Transformer
    let backward: TransformerBackward
    private let activations: Activations
    let logits: ScratchTensor  // of a part of a micro-batch, [R, V]
    /// Rows whose logits are kept, at most: not those of a longer response.
    package var mostLogitRows: Int
    private let tokenBudget: Int
    let teacherLogits: ScratchTensor  // of the same positions, [R, V]
    /// Averages of `masters` that follow them slowly, by name.
    package internal(set) var averages: [String: WeightAverage] = [:]
    /// Heads of the teachers whose last hidden states sequences have, by name; of the student's vocabulary.
    package var teacherHeads: [String: TeacherHead] = [:]
    /// What sequences with hidden states are compared by; nil: none has any.
    package var comparison: TeacherComparison?

    /// - Parameters:
    ///   - masters: f32 weights to start from; owned from here on.
    ///   - type: compute type of the forward and backward passes.
    ///   - tokenBudget: most tokens of a micro-batch; gradients accumulate over them.
    package convenience init(
        configuration: ModelConfiguration, masters: ParameterBuffer, type: ElementType, threads: Int,
        options: OptimizerOptions = OptimizerOptions(), tokenBudget: Int = 1024
    ) {
        self.init(
            configuration, masters: masters, adaptation: nil, type: type, threads: threads, options: options,
            tokenBudget: tokenBudget)
    }

    /// Trains adapters alone.
    /// - Parameters:
    ///   - base: f32 weights that stay as they are; owned from here on.
    ///   - adapters: to start from; owned from here on.
    package convenience init(
        configuration: ModelConfiguration, base: ParameterBuffer, adapters: Adapters, type: ElementType, threads: Int,
        options: OptimizerOptions = OptimizerOptions(), tokenBudget: Int = 1024
    ) {
        self.init(
            configuration, masters: adapters.values, adaptation: Adaptation(base: base, adapters: adapters),
            type: type, threads: threads, options: options, tokenBudget: tokenBudget)
        repack()
    }

    private init(
        _ configuration: ModelConfiguration, masters: ParameterBuffer, adaptation: Adaptation?, type: ElementType,
        threads: Int, options: OptimizerOptions, tokenBudget: Int
    ) {
        self.configuration = configuration
        self.masters = masters
        self.adaptation = adaptation
        self.type = type
        self.options = options
        self.tokenBudget = tokenBudget
        context = ComputeContext(threads: threads)
        firstMoment = ParameterBuffer(layout: masters.layout)
        secondMoment = ParameterBuffer(layout: masters.layout)
        gradients = ParameterBuffer(layout: masters.layout)
        let parameters = adaptation?.base ?? masters
        transformer = Transformer(configuration: configuration, parameters: parameters, type: type, context: context)
        backward = TransformerBackward(
            model: transformer, parameters: parameters, gradients: gradients, adapters: adaptation?.adapters)
        activations = Activations(configuration, type: type)
        logits = ScratchTensor(columns: configuration.vocabularySize)
        teacherLogits = ScratchTensor(columns: configuration.vocabularySize)
        // 64 MiB, but 256 rows of a large vocabulary: every part of a micro-batch costs a pass over the head's gradient.
        mostLogitRows = max(256, (64 << 20) / (4 * configuration.vocabularySize))
    }

    /// Forward, backward, clip, AdamW.
    /// - Parameters:
    ///   - sequences: each with at least one prompt and one response token, within the vocabulary.
    ///   - pulls: for a sequence with classes, what each of them is pulled by, as ``HeadClassGradient`` has it.
    ///   - listedPulls: what the classes of ``TeacherComparison/listing`` are pulled by at some positions, in batch order.
    ///   - compared: told what was found of a sequence with hidden states.
    ///   - coefficients: for sequence i and its evaluation, dLoss/d(log-probability) of each response token. Both include
    ///     the normalisation of the whole batch; the pulls are asked for after the coefficients.
    ///   - beforeUpdate: called when the gradient is complete and before weights or moments change; false calls the
    ///     update off.
    package func step(
        _ sequences: [TrainingSequence], learningRate: Float, beforeUpdate: () -> Bool = { true },
        pulls: ((_ index: Int, _ evaluation: ResponseEvaluation) -> [Float])? = nil,
        listedPulls: ((_ classes: ListedClasses) -> [Float])? = nil,
        compared: ((_ index: Int, _ found: ResponseComparison) -> Void)? = nil,
        coefficients: (_ index: Int, _ evaluation: ResponseEvaluation) throws -> [Float]
    ) rethrows -> StepStatistics {
        let evaluations = try computeGradients(
            sequences, pulls: pulls, listedPulls: listedPulls, compared: compared,
            coefficients: coefficients)
        let proceeds = beforeUpdate()
        let norm = context.sumOfSquares(gradients.flat).squareRoot()
        let squares = applyGradients(norm: norm, learningRate: proceeds ? learningRate : nil)
        return StepStatistics(
            gradientNorm: norm, applied: squares != nil, leavesFinite: squares.map(isFinite(sumOfSquares:)) ?? true,
            evaluations: evaluations)
    }

    /// Writes the batch's gradient to `gradients`.
    package func computeGradients(
        _ sequences: [TrainingSequence],
        pulls: ((_ index: Int, _ evaluation: ResponseEvaluation) -> [Float])? = nil,
        listedPulls: ((_ classes: ListedClasses) -> [Float])? = nil,
        compared: ((_ index: Int, _ found: ResponseComparison) -> Void)? = nil,
        coefficients: (_ index: Int, _ evaluation: ResponseEvaluation) throws -> [Float]
    ) rethrows -> [ResponseEvaluation] {
        var evaluations: [ResponseEvaluation] = []
        if sequences.isEmpty { context.zero(gradients.flat) }
        for range in microBatches(of: sequences) {
            evaluations += try runMicroBatch(
                sequences[range], accumulate: range.lowerBound > 0, pulls: pulls, listedPulls: listedPulls,
                compared: compared,
                coefficients: coefficients)
        }
        return evaluations
    }

    /// Passes over sequences, in each of which all are read alike.
    private func microBatches(of sequences: [TrainingSequence]) -> [Range<Int>] {
        var passes: [Range<Int>] = [], start = 0
        while start < sequences.count {
            let reading = sequences[start].reading
            let end = sequences[start...].firstIndex { $0.reading != reading } ?? sequences.count
            let counts = sequences[start..<end].map(\.tokens.count)
            for pass in Packing.microBatches(tokenCounts: counts, tokenBudget: tokenBudget) {
                passes.append(start + pass.lowerBound..<start + pass.upperBound)
            }
            start = end
        }
        return passes
    }

    /// One optimizer step from `gradients`, whose global norm is `norm`, or with no learning rate none.
    /// - Returns: the sum of the new weights' squares; nil when nothing was applied: nothing is when the gradient's
    ///   squares would not fit into the second moment.
    private func applyGradients(norm: Double, learningRate: Float?) -> Double? {
        guard norm.isFinite, let learningRate else { return nil }
        let limit = Double(options.clipGradNorm)
        // The reference implementation's guard against a zero norm (torch.nn.utils.clip_grad_norm_).
        let scale = limit > 0 && norm > limit ? limit / (norm + 1e-6) : 1
        guard norm * scale < Self.largestNorm else { return nil }
        stepCount += 1
        let squares = context.adamW(
            parameters: masters.flat, gradients: gradients.flat, m: firstMoment.flat, v: secondMoment.flat,
            learningRate: learningRate, beta1: options.beta1, beta2: options.beta2, epsilon: options.epsilon,
            weightDecay: options.weightDecay, step: stepCount, gradientScale: Float(scale))
        moveAverages()
        repack()
        return squares
    }

    /// Its square is far from the largest f32, so that no moment ever is infinite.
    private static let largestNorm = 1e18

    /// Whether every weight is a number; of adapters, whether they are small enough that what they add is one.
    package var isFinite: Bool { isFinite(sumOfSquares: context.sumOfSquares(masters.flat)) }

    func isFinite(sumOfSquares sum: Double) -> Bool { adaptation == nil ? sum.isFinite : sum < 1e30 }

    /// Whether every moment of the optimizer is a number.
    package var hasFiniteMoments: Bool {
        [firstMoment, secondMoment].allSatisfy { context.sumOfSquares($0.flat).isFinite }
    }

    /// Follows `masters` after they changed.
    package func repack() {
        if let adaptation {
            adaptation.adapters.pack(onto: adaptation.base, into: transformer, backward: backward)
        } else {
            transformer.update(from: masters)
            backward.update(from: masters)
        }
    }

    private func runMicroBatch(
        _ sequences: ArraySlice<TrainingSequence>, accumulate: Bool,
        pulls: ((_ index: Int, _ evaluation: ResponseEvaluation) -> [Float])? = nil,
        listedPulls: ((_ classes: ListedClasses) -> [Float])? = nil,
        compared: ((_ index: Int, _ found: ResponseComparison) -> Void)? = nil,
        coefficients: (_ index: Int, _ evaluation: ResponseEvaluation) throws -> [Float]
    ) rethrows -> [ResponseEvaluation] {
        let pool = transformer.pool
        let batch = SharedPrefixBatch(
            sequences.map(\.tokens), pool: pool, longAbove: configuration.longRopeAbove,
            reading: sequences.first?.reading ?? .text)
        defer { batch.releasePages(pool) }
        let x = transformer.forward(batch, saving: activations)
        let input = transformer.headInput(x, rows: batch.headRows)
        var evaluations: [ResponseEvaluation] = []
        var row = 0
        for range in Packing.microBatches(
            tokenCounts: sequences.map(\.tokens.predictedCount), tokenBudget: mostLogitRows)
        {
            let members = sequences[sequences.startIndex + range.lowerBound..<sequences.startIndex + range.upperBound]
            let rows = row..<row + members.reduce(0) { $0 + $1.tokens.predictedCount }
            evaluations += try runHead(
                batch, rows, of: members, input: input.rows(rows), accumulate: accumulate || row > 0,
                pulls: pulls, listedPulls: listedPulls, compared: compared,
                coefficients: coefficients)
            row = rows.upperBound
        }
        backward.run(batch, activations: activations, accumulate: accumulate)
        return evaluations
    }

    /// Evaluates some sequences of a batch, whose responses are its head rows `rows`, and computes the gradient of the
    /// head. Logits are kept in between, and so multiplied once, where they fit.
    private func runHead(
        _ batch: SharedPrefixBatch, _ rows: Range<Int>, of sequences: ArraySlice<TrainingSequence>, input: Tensor,
        accumulate: Bool, pulls: ((_ index: Int, _ evaluation: ResponseEvaluation) -> [Float])?,
        listedPulls: ((_ classes: ListedClasses) -> [Float])?,
        compared: ((_ index: Int, _ found: ResponseComparison) -> Void)?,
        coefficients: (_ index: Int, _ evaluation: ResponseEvaluation) throws -> [Float]
    ) rethrows -> [ResponseEvaluation] {
        let inverseTemperatures = sequences.flatMap { sequence in
            repeatElement(sequence.inverseTemperature, count: sequence.tokens.predictedCount)
        }
        let kept = rows.count <= mostLogitRows ? logits.tensor(rows: rows.count) : nil
        var (logprobs, logSumExp, entropies) = ([Float](), [Float](), [Float]())
        let hasClasses = sequences.contains { !$0.classIDs.isEmpty }
        var classes = HeadClasses(rows: hasClasses ? sequences.flatMap(\.classes) : [])
        context.headLogprobs(
            input, head: transformer.weights.head, rule: transformer.headRule, targets: Array(batch.targets[rows]),
            inverseTemperature: inverseTemperatures, logprobs: &logprobs, lse: &logSumExp, entropy: &entropies,
            keeping: kept, classes: &classes)

        var evaluations: [ResponseEvaluation] = []
        var coefficient: [Float] = [], classPulls: [Float] = []
        for (index, sequence) in zip(sequences.indices, sequences) {
            let range = coefficient.count..<coefficient.count + sequence.tokens.predictedCount
            let classRange =
                classPulls.count..<classPulls.count + (hasClasses ? sequence.classIDs.count + range.count : 0)
            let evaluation = ResponseEvaluation(
                logprobs: Array(logprobs[range]), entropies: Array(entropies[range]),
                classes: sequence.classIDs.isEmpty ? [] : Array(classes.logprobs[classRange]))
            evaluations.append(evaluation)
            let values = try coefficients(index, evaluation)
            precondition(values.count == range.count, "one coefficient a response token")
            coefficient += values
            let pulled = sequence.classIDs.isEmpty ? nil : pulls?(index, evaluation)
            precondition(pulled == nil || pulled?.count == classRange.count, "one pull a class")
            classPulls += pulled ?? [Float](repeating: 0, count: classRange.count)
        }
        if let comparison, sequences.contains(where: { $0.teacher != nil }) {
            let part = HeadPart(
                batch: batch, rows: rows, input: input, inverseTemperatures: inverseTemperatures,
                logprobs: logprobs, logSumExp: logSumExp, coefficient: coefficient)
            runComparison(
                comparison, part, of: sequences, logits: kept, accumulate: accumulate, listedPulls: listedPulls,
                compared: compared)
            return evaluations
        }
        backward.runHead(
            batch, part: rows, headInput: input, inverseTemperature: inverseTemperatures, logSumExp: logSumExp,
            coefficient: coefficient, logits: kept,
            classes: hasClasses
                ? HeadClassGradient(classes, pulls: classPulls, targetLogprobs: logprobs) : nil,
            accumulate: accumulate)
        return evaluations
    }
}
