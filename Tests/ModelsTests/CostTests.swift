import Models
import Testing

@Suite struct ModelCostTests {
    /// Against a count of the products, one by one.
    @Test func aForwardPassIsCounted() {
        let model = ModelConfiguration(
            family: .llama, vocabularySize: 11, hiddenSize: 6, intermediateSize: 10, layerCount: 3, headCount: 4,
            keyValueHeadCount: 2, headDimension: 2)
        var expected = 0
        for position in 0..<7 {
            let attention = 6 * 8 + 2 * 6 * 4 + 8 * 6, mlp = 3 * 6 * 10
            // Scores and values of every head.
            let pairs = 4 * 2 * 2 * (position + 1)
            expected += 3 * 2 * (attention + mlp + pairs)
        }
        expected += 5 * 2 * 6 * 11
        #expect(model.forwardOperations(prompt: 2, response: 5) == Double(expected))
    }
}
