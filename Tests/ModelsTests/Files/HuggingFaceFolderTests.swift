import Foundation
import Models
import Testing

@Suite struct HuggingFaceFolderTests {
    @Test(arguments: Fixtures.cases) func opensEveryGoldenModel(name: String) throws {
        let model = try ModelFiles.open("\(Fixtures.golden)/\(name)")
        let golden = try SafetensorsFile.open("\(Fixtures.golden)/\(name)/golden.safetensors")
        // The golden file has a gradient for every parameter: the canonical list must be the same set.
        let gradients = Set(golden.names.filter { $0.hasPrefix("grad.") }.map { String($0.dropFirst(5)) })
        #expect(Set(model.configuration.parameters.map(\.name)) == gradients)
        for parameter in model.configuration.parameters {
            #expect(try golden.entry("grad." + parameter.name).shape == parameter.shape)
            var values = [Float](repeating: .nan, count: parameter.count)
            try values.withUnsafeMutableBufferPointer { try model.read(parameter.name, into: $0) }
            #expect(values.allSatisfy { $0.isFinite })
        }
        #expect(model.storedType == "F32")
        let lengths = try golden.int32s("lengths")
        #expect(lengths.count == 3 && lengths.allSatisfy { (1...33).contains($0) })
    }

    @Test func readsConfigurations() throws {
        let llama3 = try ModelFiles.open("\(Fixtures.repository)/Tests/Fixtures/golden/llama3-rope").configuration
        #expect(
            llama3.ropeScaling
                == .llama3(
                    factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 64))
        #expect(llama3.ropeTheta == 500000 && llama3.headDimension == 16 && llama3.eosTokenIDs == [2])
        let qwen3 = try ModelFiles.open("\(Fixtures.repository)/Tests/Fixtures/golden/qwen3").configuration
        #expect(qwen3.qkNorm && qwen3.tiedEmbeddings && !qwen3.attentionInputBias && qwen3.headDimension == 24)
        let qwen2 = try ModelFiles.open("\(Fixtures.repository)/Tests/Fixtures/golden/qwen2").configuration
        #expect(qwen2.attentionInputBias && !qwen2.attentionOutputBias && qwen2.headDimension == 8)
    }
}
