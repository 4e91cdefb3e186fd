import Foundation
import Models
import Testing

@Suite struct HuggingFaceFolderTests {
    @Test(arguments: Fixtures.cases) func opensEveryGoldenModel(name: String) throws {
        let model = try ModelFiles.open("\(Fixtures.golden)/\(name)")
        let golden = try SafetensorsFile.open("\(Fixtures.golden)/\(name)/golden.safetensors")
        // The golden file has a gradient for every parameter: the canonical list must be the same set.
        let gradients = Set(golden.names.filter { $0.hasPrefix("grad.") }.map { String($0.dropFirst(5)) })
        #expect(Set(model.configuration.parameters.map { Self.reference(of: $0.name) }) == gradients)
        for parameter in model.configuration.parameters {
            let name = Self.reference(of: parameter.name), shape = try golden.entry("grad." + name).shape
            if name == parameter.name {
                #expect(shape == parameter.shape)
            } else {
                let (count, stacked) = (model.configuration.size(.experts), name.hasSuffix("gate_up_proj") ? 2 : 1)
                #expect(shape == [count, stacked * parameter.shape[0], parameter.shape[1]])
            }
            var values = [Float](repeating: .nan, count: parameter.count)
            try values.withUnsafeMutableBufferPointer { try model.read(parameter.name, into: $0) }
            #expect(values.allSatisfy { $0.isFinite })
        }
        #expect(model.storedType == "F32")
        let lengths = try golden.int32s("lengths")
        #expect(lengths.count == 3 && lengths.allSatisfy { (1...33).contains($0) })
    }

    /// The golden file's name of a parameter: transformers has the matrices of all experts of a layer in two arrays.
    private static func reference(of name: String) -> String {
        guard let range = name.range(of: ".experts.") else { return name }
        return name[..<range.upperBound] + (name.hasSuffix("down_proj.weight") ? "down_proj" : "gate_up_proj")
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
