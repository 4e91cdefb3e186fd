import Foundation
import Models
import TestSupport
import Testing

/// Weights of folders that stand otherwise than the configuration or most folders have them.
@Suite struct FolderWeightsTests {
    private typealias Stored = (name: String, shape: [Int], values: [Float])

    /// Writes a golden model with other tensors than it has.
    private static func write(_ model: String, to folder: String, _ change: (inout [Stored]) -> Void) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let source = "\(Fixtures.golden)/\(model)"
        try FileManager.default.copyItem(atPath: "\(source)/config.json", toPath: "\(folder)/config.json")
        let file = try SafetensorsFile.open("\(source)/model.safetensors")
        var tensors = try file.entries.map { ($0.name, $0.shape, try file.floats($0.name)) } as [Stored]
        change(&tensors)
        var writer = try SafetensorsWriter(
            "\(folder)/model.safetensors", entries: tensors.map { .init($0.name, .f32, $0.shape) })
        for tensor in tensors {
            try tensor.values.withUnsafeBufferPointer { try writer.append(floats: $0, as: .f32) }
        }
        try writer.finish()
    }

    private static func values(_ name: String, of model: ModelFiles) throws -> [Float] {
        var values = [Float](repeating: .nan, count: try model.shape(of: name).reduce(1, *))
        try values.withUnsafeMutableBufferPointer { try model.read(name, into: $0) }
        return values
    }

    /// transformers 5 ties the two where they are the same, and then alone.
    @Test func aHeadOfItsOwnIsTakenWhateverTheConfigurationSays() throws {
        try withTemporaryFolder { folder in
            for (name, isOwn) in [("same", false), ("own", true)] {
                try Self.write("llama-tied", to: "\(folder)/\(name)") { tensors in
                    var head = tensors.first { $0.name == "model.embed_tokens.weight" }!
                    head.name = "lm_head.weight"
                    if isOwn { head.values[7] += 1 }
                    tensors.append(head)
                }
                let model = try ModelFiles.open("\(folder)/\(name)")
                #expect(model.configuration.tiedEmbeddings != isOwn)
                #expect(model.configuration.parameters.contains { $0.name == "lm_head.weight" } == isOwn)
            }
            // One of another size belongs to nothing.
            try Self.write("llama-tied", to: "\(folder)/other") { $0.append(("lm_head.weight", [1, 2], [1, 2])) }
            let error = #expect(throws: ModelError.self) { try ModelFiles.open("\(folder)/other") }
            #expect(error?.message.contains("tensor 'lm_head.weight' has shape [1, 2]") == true)
        }
    }

    /// config.json of Mamba 2 and its like has Python's `Infinity`: the family is what is refused, and a number of a known
    /// family that is not finite.
    @Test func infinityInAConfigurationIsNoFaultOfItsOwn() throws {
        try withTemporaryFolder { folder in
            let file = "\(folder)/config.json"
            try writeText(#"{"model_type": "mamba2", "time_step_limit": [0.0, Infinity]}"#, to: file)
            var error = #expect(throws: ModelError.self) { try ModelFiles.open(folder) }
            #expect(error?.message.contains("model_type 'mamba2' is not supported") == true)
            try Self.write("llama-tied", to: "\(folder)/known") { _ in }
            let known = try String(contentsOfFile: "\(folder)/known/config.json", encoding: .utf8)
            let changed = known.replacingOccurrences(
                of: #""rms_norm_eps": [0-9.e-]+"#, with: #""rms_norm_eps": Infinity"#, options: .regularExpression)
            try writeText(changed, to: "\(folder)/known/config.json")
            error = #expect(throws: ModelError.self) { try ModelFiles.open("\(folder)/known") }
            #expect(error?.message.contains("rms_norm_eps is") == true)
        }
    }

    /// A weight that the configuration does not tell of is another kind of layer; buffers, layers behind the last and parts
    /// beside the layers are left alone.
    @Test func weightsThatNoLayerHasAreRefused() throws {
        try withTemporaryFolder { folder in
            for (number, name) in [
                "model.layers.0.self_attn.q_proj.bias", "model.layers.2.mlp.shared_expert.up_proj.weight",
                "model.layers.1.self_attn.q_norm.weight", "lm_head.bias",
            ].enumerated() {
                try Self.write("llama-tied", to: "\(folder)/\(number)") { $0.append((name, [2], [1, 2])) }
                let error = #expect(throws: ModelError.self) { try ModelFiles.open("\(folder)/\(number)") }
                #expect(error?.message.contains("tensor '\(name)' is not one of this llama model") == true)
            }
            try Self.write("llama-tied", to: "\(folder)/more") { tensors in
                for name in [
                    "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.3.self_attn.q_proj.bias",
                    "mtp.layers.0.self_attn.q_proj.bias",
                ] { tensors.append((name, [2], [1, 2])) }
            }
            let source = try ModelFiles.open("\(Fixtures.golden)/llama-tied")
            #expect(try ModelFiles.open("\(folder)/more").fingerprint() == source.fingerprint())
        }
    }

    /// What transformers 5 writes with `save_original_format=False`: two arrays a layer hold all experts' matrices.
    @Test func arraysOfAllExpertsAreReadAsTheirMatrices() throws {
        let plain = try ModelFiles.open("\(Fixtures.golden)/qwen3-moe")
        let count = plain.configuration.size(.experts)
        func stack(_ tensors: inout [Stored], _ layer: Int) {
            let prefix = "model.layers.\(layer).mlp.experts."
            var rest: [String: Stored] = [:]
            for tensor in tensors where tensor.name.hasPrefix(prefix) { rest[tensor.name] = tensor }
            guard !rest.isEmpty else { return }
            tensors.removeAll { $0.name.hasPrefix(prefix) }
            for (name, parts) in [("gate_up_proj", ["gate_proj", "up_proj"]), ("down_proj", ["down_proj"])] {
                let matrices = (0..<count).flatMap { expert in parts.map { rest["\(prefix)\(expert).\($0).weight"]! } }
                let shape = matrices[0].shape
                tensors.append(
                    (prefix + name, [count, parts.count * shape[0], shape[1]], matrices.flatMap(\.values)))
            }
        }
        try withTemporaryFolder { folder in
            try Self.write("qwen3-moe", to: "\(folder)/arrays") { tensors in
                for layer in 0..<plain.configuration.layerCount { stack(&tensors, layer) }
                #expect(tensors.contains { $0.shape.count == 3 } && !tensors.contains { $0.name.contains("experts.0") })
            }
            let arrays = try ModelFiles.open("\(folder)/arrays")
            #expect(arrays.configuration == plain.configuration)
            for parameter in plain.configuration.parameters {
                #expect(
                    try Self.values(parameter.name, of: arrays) == Self.values(parameter.name, of: plain),
                    "\(parameter.name)")
            }
            // Of another number of experts.
            try Self.write("qwen3-moe", to: "\(folder)/few") { tensors in
                for layer in 0..<plain.configuration.layerCount { stack(&tensors, layer) }
                for (index, tensor) in tensors.enumerated() where tensor.shape.count == 3 {
                    let size = tensor.values.count / count
                    tensors[index].shape[0] -= 1
                    tensors[index].values.removeLast(size)
                }
            }
            let error = #expect(throws: ModelError.self) { try ModelFiles.open("\(folder)/few") }
            #expect(error?.message.contains("experts.\(count - 1).gate_proj.weight' is missing") == true)
        }
    }
}
