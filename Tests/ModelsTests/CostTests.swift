import Models
import Testing

@Suite struct ModelCostTests {
    /// The expected count is that of the products, one by one.
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

    /// The expected count is that of the products: forward, back through every frozen matrix, and the adapters' own.
    @Test func aStepOfAdaptersIsCounted() throws {
        let model = ModelConfiguration(
            family: .llama, vocabularySize: 11, hiddenSize: 6, intermediateSize: 10, layerCount: 3, headCount: 4,
            keyValueHeadCount: 2, headDimension: 2)
        let layout = try AdapterLayout(model, AdapterShape(rank: 2, alpha: 1, targets: [.key, .down]))
        #expect(layout.count == 3 * 2 * ((6 + 4) + (10 + 6)))
        var expected = 0
        for position in 0..<7 {
            let matrices = (6 * 8 + 2 * 6 * 4 + 8 * 6) + 3 * 6 * 10
            let pairs = 4 * 2 * 2 * (position + 1)
            // x Aᵀ and dy B, then their products with dy and x.
            let adapters = 2 * (2 * 2 * (6 + 4) + 2 * 2 * (10 + 6))
            expected += 3 * (2 * 2 * matrices + 3 * 2 * pairs + adapters)
        }
        expected += 2 * 5 * 2 * 6 * 11
        #expect(model.adapterTrainingOperations(prompt: 2, response: 5, adapters: layout) == Double(expected))
    }

    @Test func aRankAboveAMatrixIsRefused() throws {
        let model = ModelConfiguration(
            family: .llama, vocabularySize: 11, hiddenSize: 6, intermediateSize: 10, layerCount: 1, headCount: 4,
            keyValueHeadCount: 2, headDimension: 2)
        let targets = Set(AdapterShape.Target.allCases)
        #expect(try AdapterLayout(model, AdapterShape(rank: 4, alpha: 1, targets: targets)).count > 0)
        #expect(try AdapterLayout(model, AdapterShape(rank: 6, alpha: 1, targets: [.query])).count == 6 * (6 + 8))
        let error = #expect(throws: ModelError.self) {
            try AdapterLayout(model, AdapterShape(rank: 5, alpha: 1, targets: targets))
        }
        let place = "the smaller side of model.layers.0.self_attn.k_proj.weight [4, 6]"
        #expect(error?.description.contains("5 is above 4, \(place)") == true, "\(String(describing: error))")
    }
}
