import Distillation
import Generation
import Models
import TestSupport
import Transformers

/// Weights large enough that the distributions are far from uniform.
func randomParameters(_ configuration: ModelConfiguration, seed: UInt64) -> ParameterBuffer {
    var random = SeededRandom(seed: seed)
    let buffer = ParameterBuffer(layout: ParameterLayout(configuration, matrixType: .f32))
    for entry in buffer.layout.entries {
        let tensor = buffer.tensor(entry)
        let isNorm = entry.spec.name.contains("norm")
        let scale: Float = isNorm ? 0.2 : 1.7 / Float(entry.spec.shape.last!).squareRoot()
        for index in 0..<tensor.rows * tensor.columns {
            tensor.f32[index] = (isNorm ? 1 : 0) + scale * Float.random(in: -1.7...1.7, using: &random)
        }
    }
    return buffer
}

/// Prompts of 1 to 150 tokens, after `system` tokens that all begin with, with 1 to 4 samples each, 1 to 90 new tokens.
func randomRequests(
    _ configuration: ModelConfiguration, groups: Int, system: Int = 0, using random: inout SeededRandom
) -> [SampleRequest] {
    var requests: [SampleRequest] = []
    let beginning = (0..<system).map { _ in Int32.random(in: 0..<Int32(configuration.vocabularySize), using: &random) }
    for group in 0..<groups {
        let prompt =
            beginning
            + (0..<Int.random(in: 1...150, using: &random)).map { _ in
                Int32.random(in: 0..<Int32(configuration.vocabularySize), using: &random)
            }
        let maxTokens = Int.random(in: 1...90, using: &random)
        for sample in 0..<Int.random(in: 1...4, using: &random) {
            requests.append(
                SampleRequest(
                    id: UInt64(requests.count), promptIDs: prompt, seed: UInt64(42 + group),
                    sample: UInt32(sample), parameters: SamplingSettings(maxTokens: maxTokens)))
        }
    }
    return requests
}

/// Groups in another order, each kept together.
func shuffledGroups(_ requests: [SampleRequest], using random: inout SeededRandom) -> [SampleRequest] {
    Dictionary(grouping: requests, by: \.seed).sorted { $0.key < $1.key }.map(\.value)
        .shuffled(using: &random).flatMap { $0 }
}
