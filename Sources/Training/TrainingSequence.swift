import Models
import Tokens
import Transformers

/// One prompt with its response, whose predicted tokens carry loss: of these alone there are classes, states and all
/// else that there is one of for each token.
package struct TrainingSequence: TokenSequenceHolder, Sendable {
    /// The prompt has at least one token.
    package var tokens: TokenSequence
    /// The temperature the response was drawn at; log-probabilities are taken at the same, so that ratios compare like
    /// with like. 0 counts as 1.
    package var temperature: Float
    /// Whether the response was drawn from a model token by token, or is given as a text.
    package var reading: SequenceReading
    /// Tokens of every position, ascending in each, that are classes of their own beside the tail; none: the response's
    /// tokens alone are asked about.
    package var classIDs: [Int32]
    /// How many of them each position has; nil: as many as every other.
    package var classCounts: [Int]?
    /// A teacher with whose whole distributions the response's are compared; nil: with none.
    package var teacher: TeacherStates?

    package init(
        _ tokens: TokenSequence, temperature: Float = 1, reading: SequenceReading = .text, classIDs: [Int32] = [],
        classCounts: [Int]? = nil
    ) {
        let count = tokens.predictedCount
        precondition(
            classIDs.isEmpty
                || classCounts.map { $0.count == count && $0.reduce(0, +) == classIDs.count }
                    ?? (count > 0 && classIDs.count % count == 0),
            "classes at every position")
        self.tokens = tokens
        self.temperature = temperature
        self.reading = reading
        self.classIDs = classIDs
        self.classCounts = classCounts
    }

    /// Compares the response's whole distributions with a teacher's, whose last hidden states are given.
    package mutating func compare(with states: TeacherStates) {
        precondition(
            states.bytes.count % max(tokens.predictedCount, 1) == 0 && classIDs.isEmpty,
            "a hidden state a response token, and no classes")
        teacher = states
    }

    /// The tokens that are classes, position by position.
    var classes: [ArraySlice<Int32>] {
        let positions = tokens.predictedCount
        let counts = classCounts ?? [Int](repeating: classIDs.count / max(positions, 1), count: positions)
        var first = 0
        return counts.map { count in
            defer { first += count }
            return classIDs[first..<first + count]
        }
    }

    package init(
        promptIDs: [Int32], responseIDs: [Int32], temperature: Float = 1, reading: SequenceReading = .text,
        classIDs: [Int32] = []
    ) {
        self.init(
            TokenSequence(promptIDs: promptIDs, responseIDs: responseIDs), temperature: temperature, reading: reading,
            classIDs: classIDs)
    }

    var inverseTemperature: Float { temperature > 0 ? 1 / temperature : 1 }
}

/// What the model being trained says of one response.
package struct ResponseEvaluation: Sendable, Equatable {
    /// Log-probability of each response token.
    package let logprobs: [Float]
    /// Entropy in nats of the distribution each was drawn from.
    package let entropies: [Float]
    /// Log-probability of every class, position by position, the tail's last; none where there are no classes.
    package let classes: [Float]

    package init(logprobs: [Float], entropies: [Float], classes: [Float] = []) {
        self.logprobs = logprobs
        self.entropies = entropies
        self.classes = classes
    }
}

/// AdamW and clipping.
package struct OptimizerOptions: Sendable, Equatable {
    package var beta1: Float
    package var beta2: Float
    package var epsilon: Float
    /// The decay of weights, apart from the gradient (Loshchilov and Hutter, 2017), on every parameter.
    package var weightDecay: Float
    /// Largest global norm of the gradient; 0 or less is off.
    package var clipGradNorm: Float

    package init(
        beta1: Float = 0.9, beta2: Float = 0.95, epsilon: Float = 1e-8, weightDecay: Float = 0,
        clipGradNorm: Float = 1
    ) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.clipGradNorm = clipGradNorm
    }
}

/// The last hidden states of a teacher at the positions of one response.
package struct TeacherStates: Sendable, Equatable {
    /// Which of the trainer's heads makes logits of them.
    package var label: String
    /// State by state, in that head's type, as a tensor has them.
    package var bytes: [UInt8]

    package init(label: String, bytes: [UInt8]) {
        self.label = label
        self.bytes = bytes
    }
}
