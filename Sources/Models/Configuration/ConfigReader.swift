import JSON

/// Typed access to the keys of a config.json, with errors that name file and key.
package struct ConfigReader {
    let json: JSONValue
    let file: String

    func malformed(_ message: String) -> ModelError { ModelError(.malformed, "\(file): \(message)") }
    func unsupported(_ message: String) -> ModelError { ModelError(.unsupported, "\(file): \(message)") }

    func value(_ key: String) -> JSONValue? { json[key] }

    func optionalInt(_ key: String) throws -> Int? {
        guard let value = json[key], !value.isNull else { return nil }
        guard let int = value.int else { throw malformed("\(key) is \(value.kindName); it must be an integer") }
        return int
    }

    func int(_ key: String) throws -> Int {
        guard let int = try optionalInt(key) else { throw malformed("\(key) is missing") }
        return int
    }

    func optionalDouble(_ key: String) throws -> Double? {
        guard let value = json[key], !value.isNull else { return nil }
        guard let double = value.double else { throw malformed("\(key) is \(value.kindName); it must be a number") }
        return double
    }

    func double(_ key: String, in section: String) throws -> Double {
        guard let double = try optionalDouble(key) else { throw malformed("\(section) has no \(key)") }
        return double
    }

    func bool(_ key: String, default fallback: Bool) throws -> Bool {
        guard let value = json[key], !value.isNull else { return fallback }
        guard let bool = value.bool else { throw malformed("\(key) is \(value.kindName); it must be true or false") }
        return bool
    }

    /// A token id or a list of them; null, absent and negative ids (an old way to say none) give none.
    func tokenIDs(_ key: String) throws -> [Int] {
        guard let value = json[key], !value.isNull else { return [] }
        let values = value.array ?? [value]
        guard values.count <= 1024 else { throw malformed("\(key) is a list of \(values.count), beyond any real one") }
        return try values.compactMap {
            guard let id = $0.int else { throw malformed("\(key) is not a token id or a list of them") }
            return id < 0 ? nil : id
        }
    }

    /// An integer, or nil for null; an absent key stands for `fallback`.
    func int(_ key: String, absent fallback: Int?) throws -> Int? {
        json[key] == nil ? fallback : try optionalInt(key)
    }

    func family() throws -> Family {
        guard json.object != nil else { throw malformed("not a JSON object") }
        guard let type = json["model_type"]?.string else {
            throw malformed("model_type is missing; this engine runs \(Family.list)")
        }
        guard let family = Family.named(type) else {
            throw unsupported("model_type '\(type)' is not supported; this engine runs \(Family.list)")
        }
        if let architectures = json["architectures"]?.array?.compactMap(\.string), let first = architectures.first,
            !architectures.contains(family.architecture), first != family.architecture.replacingForBase
        {
            throw unsupported("architecture '\(first)' is not supported; \(family.architecture) is")
        }
        return family
    }

    /// Refuses, by name, what the config of any family can ask for and the engine does not do.
    func refuseUnsupported() throws {
        if let quantization = json["quantization_config"], !quantization.isNull {
            let method = quantization["quant_method"]?.string ?? "unknown"
            throw unsupported("quantization_config (\(method)) is not supported; use the unquantized model or a GGUF")
        }
        if let value = json["hidden_act"], !value.isNull {
            guard let name = value.string else { throw malformed("hidden_act is \(value.kindName)") }
            guard name == "silu" || name == "swish" else {
                throw unsupported("hidden_act '\(name)' is not supported; silu is")
            }
        }
        if let factor = try optionalDouble("partial_rotary_factor"), factor != 1 {
            throw unsupported("partial_rotary_factor \(factor) is not supported")
        }
    }

    /// Refuses a window that a sequence of `context` tokens would leave; nil is none.
    func refuseSlidingWindow(_ window: Int?, context: Int) throws {
        if let window, window < context {
            throw unsupported(
                "sliding_window \(window) within a context of \(context) is not supported; only full attention is")
        }
    }

    /// Rotary base and scaling from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (4).
    /// A file with both is read as transformers does: a `rope_scaling` that says something wins.
    /// - Parameter absentTheta: the family's base where the file has none.
    func rope(absentTheta: Double, maxPositions: Int) throws -> (theta: Double, scaling: RopeScaling) {
        var section = "rope_scaling"
        var nested = json[section]
        if nested == nil || nested?.isNull == true || nested?.object?.members.isEmpty == true {
            section = "rope_parameters"
            nested = json[section]
        }
        let topTheta = try optionalDouble("rope_theta")
        guard let nested, !nested.isNull else { return (topTheta ?? absentTheta, .none) }
        guard nested.object != nil else { throw malformed("\(section) is \(nested.kindName); it must be an object") }
        let reader = ConfigReader(json: nested, file: file)
        let theta = try reader.optionalDouble("rope_theta") ?? topTheta ?? absentTheta
        if let factor = try reader.optionalDouble("partial_rotary_factor"), factor != 1 {
            throw unsupported("\(section): partial_rotary_factor \(factor) is not supported")
        }
        let type = nested["rope_type"]?.string ?? nested["type"]?.string ?? "default"
        switch type {
        case "default": return (theta, .none)
        case "linear": return (theta, .linear(factor: try reader.double("factor", in: section)))
        case "llama3":
            return (
                theta,
                .llama3(
                    factor: try reader.double("factor", in: section),
                    lowFrequencyFactor: try reader.double("low_freq_factor", in: section),
                    highFrequencyFactor: try reader.double("high_freq_factor", in: section),
                    originalMaxPositions: try reader.optionalInt("original_max_position_embeddings") ?? maxPositions)
            )
        default:
            throw unsupported("rope type '\(type)' is not supported; default, linear and llama3 are")
        }
    }
}

extension String {
    /// `LlamaForCausalLM` -> `LlamaModel`: the same weights saved without a head class.
    fileprivate var replacingForBase: String {
        hasSuffix("ForCausalLM") ? String(dropLast("ForCausalLM".count)) + "Model" : self
    }
}
