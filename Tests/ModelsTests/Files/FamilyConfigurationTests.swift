import Foundation
import JSON
import Models
import TestSupport
import Testing

/// config.json of families with keys of their own, in the spellings of transformers 4 and 5.
@Suite struct FamilyConfigurationTests {
    static func read(_ family: String, _ extra: String) throws -> ModelConfiguration {
        try ConfigurationTests.read(ConfigurationTests.text(family, extra))
    }

    @Test func gemma3OfBothVersions() throws {
        let four = try Self.read(
            "gemma3_text",
            #""head_dim":16,"rope_theta":1e6,"rope_local_base_freq":1e4,"rope_scaling":{"rope_type":"linear","factor":8.0},"#
                + #""sliding_window":7,"sliding_window_pattern":2,"query_pre_attn_scalar":168"#)
        let five = try Self.read(
            "gemma3_text",
            #""head_dim":16,"rope_parameters":{"full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":1e6},"#
                + #""sliding_attention":{"rope_type":"default","rope_theta":1e4}},"sliding_window":7,"#
                + #""layer_types":["sliding_attention","full_attention"],"query_pre_attn_scalar":168"#)
        #expect(four == five)
        #expect(four.rope == Rope(theta: 1e6, scaling: .linear(factor: 8)) && four.slidingRope == Rope(theta: 1e4))
        #expect(four.layerKinds.map(\.isSliding) == [true, false] && four.slidingWindow == 7)
        #expect(four.multipliers.attention == Float(1 / 168.0.squareRoot()) && four.multipliers.embedding == 8)
        #expect(four.activation == .geluTanh && four.qkNorm && four.tiedEmbeddings && four.keyValueHeadCount == 4)
        #expect(four.attentionSoftCap == nil && four.logitSoftCap == nil && four.schema.normOffset == 1)
        // The pattern's default is 6, of two layers all slide.
        #expect(try Self.read("gemma3_text", "").layerKinds.allSatisfy { $0.isSliding })
    }

    @Test func gemma2() throws {
        let plain = try Self.read("gemma2", #""head_dim":16,"num_key_value_heads":2"#)
        #expect(plain.attentionSoftCap == 50 && plain.logitSoftCap == 30 && plain.slidingWindow == 4096)
        #expect(plain.layerKinds.map(\.isSliding) == [true, false] && plain.multipliers.attention == 0.0625)
        let uncapped = try Self.read(
            "gemma2",
            #""head_dim":16,"attn_logit_softcapping":null,"final_logit_softcapping":null,"attention_bias":true"#)
        #expect(uncapped.attentionSoftCap == nil && uncapped.logitSoftCap == nil && uncapped.attentionOutputBias)
        // A window that no sequence leaves costs nothing.
        #expect(plain.maxPositions == 8192 && plain.attentionRule(layer: 0).window == 4096)
        let short = try Self.read("gemma2", #""head_dim":16,"max_position_embeddings":4096"#)
        #expect(short.attentionRule(layer: 0).window == 0 && short.attentionRule(layer: 0).softCap == 50)
    }

    @Test func phi3OfBothVersions() throws {
        let factors = #""short_factor":[1.0,1.5,2,2.5,3,3.5],"long_factor":[1.0,4,5,6,7,8.5]"#
        let four = try Self.read(
            "phi3",
            #""num_key_value_heads":2,"rope_scaling":{"type":"su",\#(factors)},"partial_rotary_factor":0.75,"#
                + #""original_max_position_embeddings":64,"max_position_embeddings":256"#)
        let five = try Self.read(
            "phi3",
            #""num_key_value_heads":2,"original_max_position_embeddings":64,"max_position_embeddings":256,"#
                + #""rope_parameters":{"rope_type":"longrope",\#(factors),"partial_rotary_factor":0.75,"#
                + #""rope_theta":10000.0,"original_max_position_embeddings":4096}"#)
        #expect(four == five && four.rotaryDimension == 12 && four.longRopeAbove == 64)
        #expect(abs(four.rope.magnitude(maxPositions: 256) - (1 + log(4.0) / log(64)).squareRoot()) < 1e-12)
        #expect(four.parameters.map(\.name).contains("model.layers.1.self_attn.qkv_proj.weight"))
        // Version 4 takes these three keys and no other.
        let json = four.huggingFaceJSON(type: "float32")
        #expect(json["rope_scaling"]?.object?.members.map(\.key).sorted() == ["long_factor", "short_factor", "type"])
        #expect(try Self.read("phi3", #""sliding_window":5"#).layerKinds.count == 2)
    }

    @Test func yarn() throws {
        let plain = try Self.read(
            "qwen2",
            #""num_key_value_heads":2,"rope_theta":1e6,"rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":32}"#
        )
        #expect(plain.ropeScaling == .yarn(YarnScaling(factor: 4, originalMaxPositions: 32)))
        #expect(abs(plain.rope.magnitude(maxPositions: 128) - (0.1 * log(4.0) + 1)) < 1e-12)
        let full = try Self.read(
            "llama",
            #""rope_parameters":{"rope_type":"yarn","factor":8.0,"original_max_position_embeddings":32,"beta_fast":16,"#
                + #""beta_slow":2,"truncate":false,"mscale":0.7,"mscale_all_dim":1.0}"#)
        guard case .yarn(let yarn) = full.ropeScaling else { return #expect(Bool(false), "\(full.ropeScaling)") }
        #expect(yarn.betaFast == 16 && yarn.betaSlow == 2 && !yarn.truncates)
        #expect(abs(yarn.attentionFactor - (0.07 * log(8.0) + 1) / (0.1 * log(8.0) + 1)) < 1e-12)
    }

    @Test func smolLM3AndWindows() throws {
        let smol = try ConfigurationTests.read(
            ConfigurationTests.text("smollm3", #""no_rope_layer_interval":2"#).replacing(":2,", with: ":4,"))
        #expect(smol.layerKinds.map(\.hasRope) == [true, false, true, false] && smol.ropeTheta == 2_000_000)
        #expect(smol.tiedEmbeddings && smol.slidingWindow == nil && smol.bosTokenID == nil)
        let listed = try Self.read(
            "smollm3", #""no_rope_layers":[0,1],"use_sliding_window":true,"sliding_window":9"#)
        #expect(listed.layerKinds == [LayerKind(isSliding: true, hasRope: false), .plain] && listed.slidingWindow == 9)
        let qwen = try Self.read(
            "qwen2", #""num_key_value_heads":2,"use_sliding_window":true,"sliding_window":11,"max_window_layers":1"#)
        #expect(qwen.layerKinds.map(\.isSliding) == [false, true] && qwen.slidingWindow == 11)
        let mistral = try Self.read("mistral", #""num_key_value_heads":2"#)
        #expect(mistral.slidingWindow == 4096 && mistral.layerKinds.map(\.isSliding) == [true, true])
    }

    @Test(arguments: [
        ("gemma2", #""head_dim":16,"query_pre_attn_scalar":144,"attn_logit_softcapping":20.5"#),
        ("gemma2", #""head_dim":16,"query_pre_attn_scalar":17.3,"final_logit_softcapping":null,"sliding_window":5"#),
        ("gemma3_text", #""head_dim":24,"rope_theta":5e5,"rope_scaling":{"factor":4.0,"rope_type":"linear"}"#),
        (
            "gemma3_text",
            #""head_dim":8,"attention_bias":true,"final_logit_softcapping":12.0,"layer_types":["full_attention","sliding_attention"]"#
        ),
        ("olmo2", #""num_key_value_heads":2,"attention_bias":true,"eos_token_id":5"#),
        (
            "granite",
            #""attention_multiplier":0.015625,"embedding_multiplier":12,"logits_scaling":8.0,"residual_multiplier":0.22,"mlp_bias":true"#
        ),
        ("smollm3", #""no_rope_layers":[0,1],"use_sliding_window":true,"sliding_window":9"#),
        ("phi3", #""sliding_window":7,"partial_rotary_factor":0.5"#),
        (
            "phi3",
            #""rope_scaling":{"type":"longrope","short_factor":[1,1,1,1,1,1,1,1.5],"long_factor":[1,1,1,1,1,1,1,9.25],"factor":3.0}"#
        ),
        (
            "qwen3",
            #""head_dim":8,"num_key_value_heads":2,"use_sliding_window":true,"sliding_window":3,"layer_types":["sliding_attention","full_attention"]"#
        ),
        ("mistral", #""num_key_value_heads":2,"sliding_window":3"#),
        (
            "llama",
            #""rope_scaling":{"rope_type":"yarn","factor":2.5,"original_max_position_embeddings":99,"attention_factor":1.25}"#
        ),
    ]) func writingReadsBack(family: String, extra: String) throws {
        let configuration = try Self.read(family, extra)
        let again = try ModelConfiguration(
            huggingFace: configuration.huggingFaceJSON(type: "float32"), generation: configuration.generationJSON,
            file: "m/config.json")
        #expect(again == configuration)
    }

    @Test(arguments: [
        ("gemma3_text", #""attn_logit_softcapping":50.0"#, "attn_logit_softcapping"),
        ("gemma2", #""use_bidirectional_attention":true"#, "use_bidirectional_attention"),
        ("gemma2", #""hidden_activation":"gelu""#, "gelu"),
        ("gemma3_text", #""layer_types":["full_attention","chunked_attention"]"#, "chunked_attention"),
        ("gemma3_text", #""rope_parameters":{"rope_type":"default"}"#, "rope_parameters.rope_type"),
        ("gemma3_text", #""sliding_window":null"#, "sliding_window is null"),
        ("llama", #""final_logit_softcapping":30.0"#, "final_logit_softcapping"),
        ("llama", #""residual_multiplier":0.5"#, "residual_multiplier"),
        ("mistral", #""num_local_experts":8"#, "num_local_experts"),
        ("mistral", #""layer_types":["full_attention","sliding_attention"]"#, "layer_types"),
        ("phi3", #""rope_scaling":{"type":"linear","factor":2.0}"#, "linear"),
        ("phi3", #""rope_scaling":{"type":"longrope","short_factor":[1],"long_factor":[1]}"#, "short_factor"),
        ("phi3", #""attention_bias":true"#, "attention_bias"),
        ("phi3", #""partial_rotary_factor":0.2"#, "partial_rotary_factor"),
        ("smollm3", #""no_rope_layer_interval":0"#, "no_rope_layer_interval"),
        ("smollm3", #""no_rope_layers":[1]"#, "no_rope_layers"),
        ("granite", #""logits_scaling":0"#, "logits_scaling"),
        ("llama", #""rope_parameters":{"full_attention":{"rope_type":"default"}}"#, "full_attention"),
        ("qwen2", #""layer_types":["sliding_attention","full_attention"]"#, "layer_types"),
        ("gemma3n_text", "", "gemma3n_text"), ("qwen2_moe", "", "qwen2_moe"), ("qwen3_next", "", "qwen3_next"),
        (
            "gemma3_text", #""rope_parameters":{"full_attention":{"rope_type":"default","partial_rotary_factor":0.5}}"#,
            "partial_rotary_factor"
        ),
        ("gemma3", "", "text_config"),
    ]) func refusesByName(family: String, extra: String, part: String) {
        let error = #expect(throws: ModelError.self) { try Self.read(family, extra) }
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    /// A model that sees images: its text part opens and is written as a text model, the rest is named.
    @Test(arguments: [
        ("language_model.model.", "vision_tower.", "multi_modal_projector."),
        ("model.language_model.", "model.vision_tower.", "model.multi_modal_projector."),
    ]) func textPartsOfOtherModels(prefix: String, vision: String, projector: String) throws {
        let source = try GGUFTests.golden("gemma3")
        try withTemporaryFolder { folder in
            let text = try JSONValue.parse(
                Fixtures.read("\(Fixtures.repository)/Tests/Fixtures/golden/gemma3/config.json"))
            var members = text.object!
            members.members.removeAll { ["eos_token_id", "bos_token_id", "architectures"].contains($0.key) }
            let whole: JSONValue = [
                "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
                "text_config": .object(members), "eos_token_id": [2], "bos_token_id": 1, "vision_config": [:],
            ]
            try writeText(whole.text(), to: folder + "/config.json")
            var tensors: [(SafetensorsWriter.Entry, [Float])] = try source.configuration.parameters.map { spec in
                let name = spec.name.replacing("model.", with: prefix, maxReplacements: 1)
                return (.init(name, .f32, spec.shape), try GGUFTests.values(source, spec.name))
            }
            for name in [vision + "encoder.weight", projector + "mm_soft_emb_norm.weight"] {
                tensors.append((.init(name, .f32, [2]), [1, 2]))
            }
            var writer = try SafetensorsWriter(folder + "/model.safetensors", entries: tensors.map(\.0))
            for (_, values) in tensors {
                try values.withUnsafeBufferPointer { try writer.append(floats: $0, as: .f32) }
            }
            try writer.finish()
            let model = try ModelFiles.open(folder)
            #expect(model.configuration == source.configuration)
            #expect(model.leftOut == ["multi_modal_projector", "vision_tower"])
            #expect(ModelSummary(model).lines.contains { $0.label == "left out" && $0.text.contains("vision_tower") })
            #expect(try model.fingerprint() == source.fingerprint())
            try ModelWriter.convert(from: model, to: folder + "/text")
            let written = try ModelFiles.open(folder + "/text")
            #expect(written.configuration == source.configuration && written.leftOut.isEmpty)
        }
    }
}
