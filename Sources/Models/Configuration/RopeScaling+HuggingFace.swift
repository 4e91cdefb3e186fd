import JSON

extension ModelConfiguration {
    /// Writes the one rotary embedding of all layers: transformers 4 reads rope_theta and rope_scaling, transformers 5
    /// rope_parameters.
    func writeRope(_ form: RopeForm, _ json: inout JSONObject) {
        var scaling = ropeScaling.json
        var parameters: JSONObject = ["rope_theta": .number(ropeTheta)]
        parameters.members += scaling.members
        if form.isPartial {
            json["partial_rotary_factor"] = .number(partialRotaryFactor)
            parameters["partial_rotary_factor"] = .number(partialRotaryFactor)
        }
        if form.originalMaxPositions != nil, let original = ropeScaling.originalMaxPositions {
            // This class wants the original context beside the section, and in version 4 three keys within it.
            json["original_max_position_embeddings"] = .integer(original)
            scaling.members.removeAll { $0.key == "rope_type" || $0.key == "original_max_position_embeddings" }
            scaling["type"] = .string(ropeScaling.name)
        }
        json["rope_theta"] = .number(ropeTheta)
        json["rope_scaling"] = ropeScaling == .none ? .null : .object(scaling)
        json["rope_parameters"] = .object(parameters)
    }
}

extension RopeScaling {
    /// The context that the model was first trained on, where the scaling depends on one.
    var originalMaxPositions: Int? {
        switch self {
        case .none, .linear: nil
        case .llama3(_, _, _, let original): original
        case .yarn(let yarn): yarn.originalMaxPositions
        case .longRope(let long): long.originalMaxPositions
        }
    }

    /// `rope_scaling` of config.json, without the base; `rope_parameters` has the same keys.
    var json: JSONObject {
        switch self {
        case .none: return ["rope_type": "default"]
        case .linear(let factor): return ["rope_type": "linear", "factor": .number(factor)]
        case .llama3(let factor, let low, let high, let original):
            return [
                "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": .number(low),
                "high_freq_factor": .number(high), "original_max_position_embeddings": .integer(original),
            ]
        case .yarn(let yarn):
            return [
                "rope_type": "yarn", "factor": .number(yarn.factor),
                "original_max_position_embeddings": .integer(yarn.originalMaxPositions),
                "beta_fast": .number(yarn.betaFast), "beta_slow": .number(yarn.betaSlow),
                "truncate": .bool(yarn.truncates), "attention_factor": .number(yarn.attentionFactor),
            ]
        case .longRope(let long):
            var json: JSONObject = [
                "rope_type": "longrope", "short_factor": .array(long.shortFactors.map(JSONValue.number)),
                "long_factor": .array(long.longFactors.map(JSONValue.number)),
                "original_max_position_embeddings": .integer(long.originalMaxPositions),
            ]
            if let factor = long.factor { json["factor"] = .number(factor) }
            if let attentionFactor = long.attentionFactor { json["attention_factor"] = .number(attentionFactor) }
            return json
        }
    }
}

extension JSONValue {
    /// The number as its shortest decimal digits have it: 0.4, not 0.4000000059604645.
    static func shortest(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
}
