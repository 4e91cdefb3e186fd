import Randomness

/// What a parameter begins with in a model, or an adapter, that is made from scratch.
package enum Initialization: Sendable {
    case zeros, ones
    /// Normal numbers of the deviation 0.02, as in GPT-2.
    case normal
    /// Normal numbers for a matrix that writes into the residual stream: the deviation is divided by the root of the
    /// number of these matrices, 2 L.
    case residual
    /// Uniform numbers within ±1 / sqrt(inputs): the variance of Kaiming's initialization with a = sqrt(5), as peft
    /// begins A of an adapter.
    case uniform

    /// Writes the values of a parameter.
    /// - Parameters:
    ///   - inputs: columns of the matrix.
    ///   - layers: of the model.
    ///   - random: the parameter's own stream.
    package func fill(_ values: UnsafeMutableBufferPointer<Float>, inputs: Int, layers: Int, random: inout SplitMix64) {
        let deviation: Float = 0.02
        switch self {
        case .zeros: values.update(repeating: 0)
        case .ones: values.update(repeating: 1)
        case .normal: for place in values.indices { values[place] = deviation * random.normal() }
        case .residual:
            let residual = deviation / Float(2 * layers).squareRoot()
            for place in values.indices { values[place] = residual * random.normal() }
        case .uniform:
            let bound = 1 / Float(inputs).squareRoot()
            for place in values.indices { values[place] = bound * random.uniform() }
        }
    }
}
