import JSON
import Models
import Testing
import Tokenizers

/// config.json in the shapes that transformers 4 and 5 write, and what is refused.
@Suite struct ConfigurationTests {
    static func read(_ text: String, generation: String? = nil) throws -> ModelConfiguration {
        try ModelConfiguration(
            huggingFace: try JSONValue.parse(text), generation: try generation.map { try JSONValue.parse($0) },
            file: "m/config.json")
    }

    /// A config of `family` with `extra` members.
    static func text(_ family: String, _ extra: String = "") -> String {
        #"{"model_type":"\#(family)","hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,"#
            + #""num_attention_heads":4,"vocab_size":300\#(extra.isEmpty ? "" : "," + extra)}"#
    }

    @Test func defaultsOfAbsentKeys() throws {
        let llama = try Self.read(Self.text("llama"))
        #expect(llama.keyValueHeadCount == 4 && llama.headDimension == 16 && llama.ropeTheta == 10000)
        #expect(llama.rmsNormEpsilon == 1e-6 && !llama.tiedEmbeddings && llama.maxPositions == 2048)
        #expect(llama.bosTokenID == 1 && llama.eosTokenIDs == [2])
        let qwen3 = try Self.read(Self.text("qwen3", #""num_key_value_heads":2"#))
        #expect(qwen3.headDimension == 128 && qwen3.qkNorm && !qwen3.attentionInputBias && qwen3.eosTokenIDs.isEmpty)
        let qwen2 = try Self.read(Self.text("qwen2", #""num_key_value_heads":null,"head_dim":null"#))
        #expect(qwen2.keyValueHeadCount == 4 && qwen2.headDimension == 16)
        #expect(qwen2.attentionInputBias && !qwen2.attentionOutputBias)
        let mistral = try Self.read(Self.text("mistral", #""num_key_value_heads":2,"sliding_window":null"#))
        #expect(mistral.maxPositions == 131072 && !mistral.attentionInputBias)
    }

    @Test func biases() throws {
        let llama = try Self.read(Self.text("llama", #""attention_bias":true,"mlp_bias":true"#))
        #expect(llama.attentionInputBias && llama.attentionOutputBias && llama.mlpBias)
        let qwen3 = try Self.read(Self.text("qwen3", #""num_key_value_heads":2,"attention_bias":true"#))
        #expect(qwen3.attentionInputBias && qwen3.attentionOutputBias)
        let names = llama.parameters.map(\.name)
        #expect(names.contains("model.layers.1.self_attn.o_proj.bias"))
        #expect(names.contains("model.layers.0.mlp.down_proj.bias") && names.last == "lm_head.weight")
    }

    @Test func ropeOfBothVersions() throws {
        let four = try Self.read(
            Self.text(
                "llama",
                #""rope_theta":500000.0,"rope_scaling":{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"#
                    + #""original_max_position_embeddings":8192,"rope_type":"llama3"}"#))
        let five = try Self.read(
            Self.text(
                "llama",
                #""rope_parameters":{"rope_theta":500000.0,"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"#
                    + #""original_max_position_embeddings":8192,"rope_type":"llama3"}"#))
        #expect(four == five)
        #expect(
            four.ropeScaling
                == .llama3(
                    factor: 32, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 8192))
        let linear = try Self.read(Self.text("llama", #""rope_scaling":{"type":"linear","factor":2.0}"#))
        #expect(linear.ropeScaling == .linear(factor: 2) && linear.ropeTheta == 10000)
        let plain = try Self.read(
            Self.text("llama", #""rope_theta":3e4,"rope_scaling":null,"rope_parameters":{"rope_type":"default"}"#))
        #expect(plain.ropeScaling == .none && plain.ropeTheta == 30000)
    }

    @Test func endTokensAreTheUnionOfBothFiles() throws {
        let configuration = try Self.read(
            Self.text("llama", #""eos_token_id":[2,7],"pad_token_id":-1,"bos_token_id":null"#),
            generation: #"{"eos_token_id":[7,9],"bos_token_id":5}"#)
        #expect(configuration.eosTokenIDs == [2, 7, 9])
        #expect(configuration.padTokenID == nil && configuration.bosTokenID == 5)
    }

    @Test(arguments: [
        ("llama", #""rope_scaling":{"type":"linear","factor":4.0},"attention_bias":true,"tie_word_embeddings":true"#),
        ("llama", #""mlp_bias":true,"head_dim":32,"num_key_value_heads":1,"rms_norm_eps":1e-05"#),
        ("mistral", #""num_key_value_heads":2,"sliding_window":null,"eos_token_id":[3,4]"#),
        ("qwen2", #""num_key_value_heads":2,"rope_theta":1000000.0"#),
        ("qwen3", #""num_key_value_heads":2,"head_dim":24,"bos_token_id":9"#),
        (
            "llama",
            #""rope_parameters":{"rope_type":"llama3","rope_theta":5e5,"factor":8.0,"low_freq_factor":1.0,"#
                + #""high_freq_factor":4.0,"original_max_position_embeddings":64}"#
        ),
    ]) func writingReadsBack(family: String, extra: String) throws {
        let configuration = try Self.read(Self.text(family, extra))
        let json = configuration.huggingFaceJSON(type: "float32")
        let again = try ModelConfiguration(
            huggingFace: json, generation: configuration.generationJSON, file: "m/config.json")
        #expect(again == configuration)
        // Each version finds the rotary base in its own place.
        #expect(json["rope_theta"]?.double == json["rope_parameters"]?["rope_theta"]?.double)
    }

    @Test(arguments: [
        (#"{"hidden_size":64}"#, ModelError.Code.malformed, "model_type"),
        (Self.text("gpt2"), .unsupported, "gpt2"),
        (Self.text("llama", #""architectures":["LlamaForSequenceClassification"]"#), .unsupported, "Classification"),
        (Self.text("llama", #""hidden_act":"gelu""#), .unsupported, "gelu"),
        (Self.text("llama", #""quantization_config":{"quant_method":"gptq"}"#), .unsupported, "gptq"),
        (Self.text("llama", #""rope_scaling":{"rope_type":"axial","factor":4.0}"#), .unsupported, "axial"),
        (Self.text("llama", #""rope_scaling":{"type":"dynamic","factor":4.0}"#), .unsupported, "dynamic"),
        (Self.text("llama", #""rope_scaling":{"type":"linear"}"#), .malformed, "factor"),
        (Self.text("llama", #""partial_rotary_factor":0.5"#), .unsupported, "partial_rotary_factor"),
        (Self.text("mistral", #""num_key_value_heads":2,"sliding_window":0"#), .malformed, "sliding_window"),
        (
            Self.text(
                "qwen3", #""num_key_value_heads":2,"use_sliding_window":true,"layer_types":["sliding_attention"]"#),
            .malformed, "layer_types has 1 entries for 2 layers"
        ),
        (Self.text("llama", #""num_key_value_heads":3"#), .malformed, "num_key_value_heads"),
        (Self.text("llama", #""head_dim":7"#), .malformed, "head_dim"),
        (Self.text("llama", #""head_dim":20"#), .malformed, "head_dim"),
        (Self.text("llama", #""head_dim":264"#), .malformed, "head_dim"),
        (
            Self.text("llama", #""hidden_size":"x""#).replacing(#""hidden_size":64,"#, with: ""), .malformed,
            "hidden_size"
        ),
        (Self.text("llama", #""tie_word_embeddings":1"#), .malformed, "tie_word_embeddings"),
        (Self.text("llama", #""eos_token_id":300"#), .malformed, "eos_token_id"),
        (
            Self.text("llama", "\"eos_token_id\":[\([String](repeating: "1", count: 1025).joined(separator: ","))]"),
            .malformed, "eos_token_id is a list of 1025"
        ),
        (Self.text("llama").replacing(":2,", with: ":99999999999,"), .malformed, "num_hidden_layers"),
        (Self.text("llama").replacing(":4,", with: ":0,"), .malformed, "num_attention_heads"),
        (Self.text("llama", #""rope_theta":-1"#), .malformed, "rope_theta"),
        ("[]", .malformed, "object"),
    ]) func refuses(text: String, code: ModelError.Code, part: String) {
        let error = #expect(throws: ModelError.self) { try Self.read(text) }
        #expect(error?.code == code)
        #expect(error?.message.hasPrefix("m/config.json: ") == true)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    @Test func windowsThatAreNotUsedAreFine() throws {
        #expect(
            try Self.read(
                Self.text("mistral", #""num_key_value_heads":2,"sliding_window":4096,"max_position_embeddings":4096"#)
            ).maxPositions == 4096)
        #expect(
            try Self.read(
                Self.text("qwen2", #""num_key_value_heads":2,"use_sliding_window":true,"max_window_layers":28"#)
            ).layerCount == 2)
    }
}
