import JSON
import Models
import TestSupport
import Testing

/// Mixtures of experts in files: which layers have experts, what GGUF files call them, what is refused.
@Suite struct ExpertFilesTests {
    static func read(_ extra: String, layers: Int = 4) throws -> ModelConfiguration {
        let text = ConfigurationTests.text("qwen3_moe", #""num_key_value_heads":2,"# + extra)
        return try ConfigurationTests.read(
            text.replacing(#""num_hidden_layers":2"#, with: #""num_hidden_layers":\#(layers)"#))
    }

    @Test(arguments: [
        ("", [0, 1, 2, 3]), (#","mlp_only_layers":[1,3]"#, [0, 2]), (#","decoder_sparse_step":2"#, [1, 3]),
        (#","decoder_sparse_step":3"#, [2]), (#","decoder_sparse_step":2,"mlp_only_layers":[0,3]"#, [1]),
        (#","mlp_only_layers":[0,99]"#, [1, 2, 3]),
    ]) func layersWithExperts(extra: String, layers: [Int]) throws {
        let configuration = try Self.read(
            #""num_experts":6,"num_experts_per_tok":2,"moe_intermediate_size":24"# + extra)
        let experts = try #require(configuration.experts)
        #expect(experts.layers == Set(layers) && experts.count == 6 && experts.perToken == 2)
        #expect(experts.intermediateSize == 24 && !experts.normalizesChosen)
        for layer in 0..<4 {
            let names = configuration.parameters(layer: layer).map(\.name)
            let prefix = "model.layers.\(layer).mlp."
            #expect(names.contains(prefix + "gate.weight") == layers.contains(layer))
            #expect(names.contains(prefix + "experts.5.down_proj.weight") == layers.contains(layer))
            #expect(names.contains(prefix + "gate_proj.weight") != layers.contains(layer))
        }
        let again = try ModelConfiguration(
            huggingFace: configuration.huggingFaceJSON(type: "float32"), generation: configuration.generationJSON,
            file: "m/config.json")
        #expect(again == configuration)
    }

    /// The class's own values, and both spellings of the number of experts.
    @Test func defaultsAndSpellings() throws {
        let plain = try Self.read(#""head_dim":16"#)
        #expect(
            plain.experts
                == ExpertShape(
                    count: 128, perToken: 8, intermediateSize: 768, normalizesChosen: false, layers: [0, 1, 2, 3]))
        let five = try Self.read(#""num_local_experts":16,"norm_topk_prob":true"#)
        #expect(five == (try Self.read(#""num_experts":16,"norm_topk_prob":true"#)))
        #expect(five.experts?.normalizesChosen == true && five.qkNorm)
        // No experts at all is a plain model, and is written as one.
        for extra in [#""num_experts":0"#, #""mlp_only_layers":[0,1,2,3]"#] {
            let dense = try Self.read(extra)
            #expect(dense.experts == nil)
            let again = try ModelConfiguration(
                huggingFace: dense.huggingFaceJSON(type: "float32"), generation: dense.generationJSON, file: "m")
            #expect(again == dense)
        }
    }

    @Test(arguments: [
        (#""shared_expert_intermediate_size":64"#, "shared_expert_intermediate_size"),
        (#""n_shared_experts":1"#, "n_shared_experts"), (#""scoring_func":"sigmoid""#, "'sigmoid'"),
        (#""topk_method":"noaux_tc""#, "'noaux_tc'"), (#""n_group":4"#, "n_group"),
        (#""routed_scaling_factor":2.5"#, "routed_scaling_factor"), (#""n_routed_experts":16"#, "n_routed_experts"),
        (#""num_experts":8,"num_local_experts":16"#, "two names"), (#""num_experts_per_tok":0"#, "num_experts_per_tok"),
        (#""num_experts":4,"num_experts_per_tok":5"#, "num_experts_per_tok"), (#""num_experts":-1"#, "num_experts"),
        (#""num_experts":4097"#, "num_experts"), (#""moe_intermediate_size":0"#, "moe_intermediate_size"),
        (#""decoder_sparse_step":0"#, "decoder_sparse_step"), (#""mlp_only_layers":[true]"#, "mlp_only_layers"),
        (#""mlp_only_layers":3"#, "mlp_only_layers"),
    ]) func refusesByName(extra: String, part: String) {
        let error = #expect(throws: ModelError.self) { try Self.read(extra) }
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    /// Names of millions of experts would take more memory than a machine has.
    @Test func expertsOfAllLayersAreBounded() {
        let error = #expect(throws: ModelError.self) { try Self.read(#""num_experts":1024"#, layers: 4096) }
        #expect(error?.message.contains("num_experts is 1024; it must be between 1 and 16 in 4096 layers") == true)
    }

    @Test func otherFamiliesWithExpertsAreRefused() {
        for (family, key) in [("qwen3", "num_experts"), ("granite", "num_experts"), ("mixtral", "mixtral")] {
            let error = #expect(throws: ModelError.self) {
                try FamilyConfigurationTests.read(
                    family, #""num_key_value_heads":2,"num_experts":8,"num_local_experts":8"#)
            }
            #expect(error?.message.contains(key) == true, "\(error?.message ?? "")")
        }
    }

    @Test func namesOfGGUFFiles() throws {
        let names = GGUFNames(Family.qwen3MoE.schema)
        #expect(names.find("blk.3.ffn_gate_inp.weight")?.name == "model.layers.3.mlp.gate.weight")
        #expect(names.find("blk.3.ffn_down_exps.weight")?.name == "model.layers.3.mlp.experts.*.down_proj.weight")
        #expect(names.find("blk.3.ffn_gate_shexp.weight") == nil)
    }

    @Test func whatAGGUFFileAsksForIsRefusedByName() throws {
        let good = try GGUFBuilder.converting(GGUFTests.golden("qwen3-moe"))
        try withTemporaryFolder { folder in
            func expect(_ part: String, _ change: (inout GGUFBuilder) -> Void) {
                var builder = good
                change(&builder)
                let error = #expect(throws: ModelError.self, "\(part)") { try GGUFTests.open(builder, in: folder) }
                #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
            }
            func set(_ builder: inout GGUFBuilder, _ name: String, _ value: GGUFBuilder.Value) {
                builder.metadata.removeAll { $0.0 == "qwen3moe.\(name)" }
                builder.metadata.append(("qwen3moe.\(name)", value))
            }
            for (name, value) in [
                ("expert_shared_count", 1), ("expert_shared_feed_forward_length", 64), ("leading_dense_block_count", 1),
                ("expert_gating_func", 2), ("expert_group_count", 4),
            ] { expect("qwen3moe.\(name)") { set(&$0, name, .u32(UInt32(value))) } }
            expect("expert_weights_scale") { set(&$0, "expert_weights_scale", .f32(2.5)) }
            expect("expert_weights_norm") { set(&$0, "expert_weights_norm", .bool(false)) }
            expect("expert_count") { set(&$0, "expert_count", .u32(0)) }
            expect("expert_used_count") { set(&$0, "expert_used_count", .u32(0)) }
            expect("num_experts_per_tok") { set(&$0, "expert_used_count", .u32(7)) }
            // Another count than the tensors have.
            expect("not 5 matrices") { set(&$0, "expert_count", .u32(5)) }
            expect("has shape [40, 48]") { set(&$0, "expert_feed_forward_length", .u32(41)) }
            func rename(_ builder: inout GGUFBuilder, _ old: String, _ new: String) {
                for index in builder.tensors.indices where builder.tensors[index].name == old {
                    builder.tensors[index].name = new
                }
            }
            expect("'blk.0.ffn_gate_up_exps.weight'") {
                rename(&$0, "blk.0.ffn_gate_exps.weight", "blk.0.ffn_gate_up_exps.weight")
            }
            expect("'blk.1.ffn_gate.weight' is not one of") {
                rename(&$0, "blk.1.ffn_gate_exps.weight", "blk.1.ffn_gate.weight")
            }
            expect("mlp.gate.weight' is missing") { builder in
                builder.tensors.removeAll { $0.name == "blk.1.ffn_gate_inp.weight" }
            }
            expect("q/k norms") { builder in builder.tensors.removeAll { $0.name.contains("_norm.weight") } }
        }
    }

    /// Layers keep what they have when others are left out.
    @Test func pruningKeepsWhichLayersHaveExperts() throws {
        let source = try GGUFTests.golden("qwen3-moe")
        try withTemporaryFolder { folder in
            var configuration = source.configuration
            configuration.layerCount = 3
            configuration.experts?.layers = [1, 2]
            let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 1 << 16)
            buffer.initialize(repeating: 0.5)
            defer { buffer.deallocate() }
            try ModelWriter.write(to: folder + "/whole", configuration: configuration, type: .f32) {
                UnsafeBufferPointer(rebasing: buffer[0..<$0.count])
            }
            let whole = try ModelFiles.open(folder + "/whole")
            #expect(whole.configuration == configuration)
            for (dropped, layers) in [([0], Set([0, 1])), ([1], [1]), ([1, 2], [])] {
                try ModelPruning.prune(from: whole, to: folder + "/pruned", dropping: dropped)
                let pruned = try ModelFiles.open(folder + "/pruned").configuration
                #expect(pruned.experts?.layers ?? [] == layers && pruned.layerCount == 3 - dropped.count)
            }
        }
    }

    @Test func adaptersAreOfAttentionAlone() throws {
        let configuration = try Self.read(#""num_experts":6,"num_experts_per_tok":2,"mlp_only_layers":[1]"#)
        #expect(configuration.adapterTargets == [.query, .key, .value, .output])
        _ = try AdapterLayout.targets(["q_proj", "o_proj"], in: configuration)
        for target in [AdapterShape.Target.gate, .up, .down, .gateUp] {
            let error = #expect(throws: ModelError.self) {
                try AdapterLayout.targets([target.rawValue], in: configuration)
            }
            #expect(
                error?.message
                    == "\(target.rawValue) is no matrix with adapters of a qwen3_moe model; it has q_proj, k_proj, v_proj, o_proj"
            )
        }
        let all = AdapterShape(rank: 2, alpha: 4, targets: Set(AdapterShape.Target.allCases))
        let layout = try AdapterLayout(configuration, all)
        #expect(layout.shape.targets == [.query, .key, .value, .output])
        #expect(layout.parameters.entries.count == 4 * 4 * 2)
    }
}
