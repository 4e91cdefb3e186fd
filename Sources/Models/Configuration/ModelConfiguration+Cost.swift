extension ModelConfiguration {
    /// Multiplications and additions of a forward pass over one sequence: 2 for every weight of a layer's matrices a
    /// token, 2 for every weight of the head a response token, and 4 H D in every layer for each pair of a token and one
    /// that it attends to.
    /// - Parameters:
    ///   - prompt: tokens without a log-probability.
    ///   - response: tokens with one.
    package func forwardOperations(prompt: Int, response: Int) -> Double {
        matrixOperations(prompt: prompt, response: response) + attentionOperations(tokens: prompt + response)
    }

    /// Multiplications and additions of a forward and backward pass that trains adapters alone: forward once more for
    /// what flows back through the frozen matrices, 4 a token for every value of the adapters, and attention three times.
    package func adapterTrainingOperations(prompt: Int, response: Int, adapters: AdapterLayout) -> Double {
        2 * matrixOperations(prompt: prompt, response: response) + 3 * attentionOperations(tokens: prompt + response)
            + 4 * Double(adapters.count) * Double(prompt + response)
    }

    private func matrixOperations(prompt: Int, response: Int) -> Double {
        2 * Double(layerMatrixCount) * Double(prompt + response)
            + 2 * Double(hiddenSize * vocabularySize) * Double(response)
    }

    private func attentionOperations(tokens: Int) -> Double {
        let pairs = Double(tokens) * Double(tokens + 1) / 2
        return 4 * Double(layerCount) * Double(headCount * headDimension) * pairs
    }
}
