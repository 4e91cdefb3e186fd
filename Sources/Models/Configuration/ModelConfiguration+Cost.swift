extension ModelConfiguration {
    /// Multiplications and additions of a forward pass over one sequence: 2 for every weight of a layer's matrices a
    /// token, 2 for every weight of the head a response token, and 4 H D in every layer for each pair of a token and one
    /// that it attends to.
    /// - Parameters:
    ///   - prompt: tokens without a log-probability.
    ///   - response: tokens with one.
    public func forwardOperations(prompt: Int, response: Int) -> Double {
        let queries = headCount * headDimension, keys = keyValueHeadCount * headDimension
        let layer = hiddenSize * (2 * queries + 2 * keys) + 3 * hiddenSize * intermediateSize
        let tokens = Double(prompt + response)
        let pairs = tokens * (tokens + 1) / 2
        let layers = Double(layerCount) * (2 * Double(layer) * tokens + 4 * Double(queries) * pairs)
        return layers + 2 * Double(hiddenSize * vocabularySize) * Double(response)
    }
}
