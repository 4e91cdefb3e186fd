import JSON

extension Family {
    /// `model_type` of models of several parts whose text part, `text_config`, is a model of its own, with the family of
    /// a text part that names none.
    static let ofSeveralParts: [String: Family] = [
        "gemma3": .gemma3, "mistral3": .mistral, "llava": .llama, "llava_next": .llama, "llava_onevision": .qwen2,
        "idefics3": .llama, "smolvlm": .llama, "internvl": .qwen2, "qwen2_vl": .qwen2, "qwen2_5_vl": .qwen2,
        "qwen3_vl": .qwen3,
    ]

    /// Families under the names that they have as text parts alone. Without images all three of their positions are one,
    /// and turn queries and keys as a single one does.
    fileprivate static let ofTextPart: [String: Family] = [
        "qwen2_vl_text": .qwen2, "qwen2_5_vl_text": .qwen2, "qwen3_vl_text": .qwen3,
    ]
}

extension ConfigReader {
    /// The family of the text part that has no name of its own, where the config is of several parts; else nil.
    private var defaultTextFamily: Family? { json["model_type"]?.string.flatMap { Family.ofSeveralParts[$0] } }

    /// Whether the config describes a model of several parts.
    var hasParts: Bool { defaultTextFamily != nil }

    /// The part of a config of several parts that describes the text model, or the config itself. What a text part
    /// leaves out of tokens and ties stands in the whole.
    func textPart() throws -> ConfigReader {
        guard let family = defaultTextFamily, let type = json["model_type"]?.string else { return self }
        // Files of Qwen2-VL from before it had a section for its text.
        let isFlat = type.hasPrefix("qwen2") && json["text_config"] == nil && json["hidden_size"] != nil
        guard var text = isFlat ? json.object : json["text_config"]?.object else {
            throw malformed("model_type '\(type)' without text_config")
        }
        if text["model_type"] == nil || isFlat { text["model_type"] = .string(family.name) }
        if let known = text["model_type"]?.string.flatMap({ Family.ofTextPart[$0] }) {
            text["model_type"] = .string(known.name)
        }
        for key in ["bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"] where text[key] == nil {
            if let value = json[key] { text[key] = value }
        }
        // transformers 5 ties by the whole's key, 4 by the text's; a head that is stored and differs counts in any case.
        if json["tie_word_embeddings"]?.bool == true { text["tie_word_embeddings"] = true }
        if let quantization = json["quantization_config"] { text["quantization_config"] = quantization }
        if family == .qwen2 || family == .qwen3 { Self.joinPositions(&text) }
        // The class of the whole; the text part's own is the family's.
        text["architectures"] = .null
        return ConfigReader(json: .object(text), file: file)
    }

    /// Writes a rotary embedding of three positions, `mrope`, as the one of a single position that it is in a text.
    private static func joinPositions(_ text: inout JSONObject) {
        for section in ["rope_scaling", "rope_parameters"] {
            guard var rope = text[section]?.object, rope["mrope_section"] != nil else { continue }
            for key in ["type", "rope_type"] where rope[key]?.string == "mrope" { rope[key] = "default" }
            text[section] = .object(rope)
        }
    }
}
