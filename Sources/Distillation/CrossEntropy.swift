import Tokens

/// A prompt and the response to imitate, each of at least one token.
package typealias SupervisedExample = TokenSequence

/// The cross-entropy of a given token: L = -s, dL/ds = -1, s being its log-probability under the weights being trained.
package func crossEntropyLoss(logprob s: Double) -> TokenLoss { TokenLoss(value: -s, gradient: -1) }

/// dL/ds of every response token of one example, L = -(1/N) sum_i s_i being the mean over the batch; statistics are
/// added to `statistics`.
///
/// A trainer calls it once an example, as it calls `Objective.gradient` once a trajectory.
/// - Parameters:
///   - current: s, one a response token.
///   - tokenCount: N, response tokens of the whole batch.
package func crossEntropyGradient(
    current: [Float], tokenCount: Int, statistics: inout BatchStatistics
) -> [Float] {
    let scale = 1 / Double(max(tokenCount, 1))
    return current.map { s in
        let token = crossEntropyLoss(logprob: Double(s))
        statistics.add(supervised: token)
        return Float(token.gradient * scale)
    }
}

/// The endless order of examples that a supervised run learns from: a batch is a function of the step alone.
package protocol ExampleSource: Sendable {
    /// The examples of the step after so many completed ones.
    mutating func batch(step: UInt64) throws -> [SupervisedExample]
}

/// Examples of a file: every pass holds each once, shuffled anew.
package struct ListedExamples: ExampleSource {
    private let examples: [SupervisedExample]
    private let batchSize: Int
    private var order: PromptOrder

    /// - Parameter examples: at least one.
    package init(_ examples: [SupervisedExample], batchSize: Int, seed: UInt64, shuffled: Bool) {
        self.examples = examples
        self.batchSize = batchSize
        order = PromptOrder(count: examples.count, seed: seed, shuffled: shuffled)
    }

    package mutating func batch(step: UInt64) -> [SupervisedExample] {
        let first = step * UInt64(batchSize)
        return (first..<first + UInt64(batchSize)).map { examples[order.index(of: $0)] }
    }
}

/// Worked responses to training exercises of a task, as many as are asked for.
package struct GeneratedExamples: ExampleSource {
    private let task: ExerciseGenerator
    private let seed: UInt64
    private let batchSize: Int
    private let encode: @Sendable (Exercise) throws -> SupervisedExample

    /// - Parameter encode: renders and tokenises an exercise.
    package init(
        _ task: ExerciseGenerator, seed: UInt64, batchSize: Int,
        encode: @escaping @Sendable (Exercise) throws -> SupervisedExample
    ) {
        self.task = task
        self.seed = seed
        self.batchSize = batchSize
        self.encode = encode
    }

    package func batch(step: UInt64) throws -> [SupervisedExample] {
        let first = step * UInt64(batchSize)
        return try (first..<first + UInt64(batchSize)).map {
            try encode(task.exercise(.training, seed: seed, index: $0))
        }
    }
}
