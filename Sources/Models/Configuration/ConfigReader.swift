import JSON
import Rules

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
        if try bool("use_bidirectional_attention", default: false) {
            throw unsupported("use_bidirectional_attention is not supported; causal attention is")
        }
    }

    /// What gates go through.
    /// - Parameter key: the family's own name of it.
    func activation(_ key: String, default fallback: GateActivation) throws -> GateActivation {
        guard let value = json[key], !value.isNull else { return fallback }
        guard let name = value.string else { throw malformed("\(key) is \(value.kindName)") }
        guard let activation = GateActivation(transformersName: name) else {
            throw unsupported("\(key) '\(name)' is not supported; silu and gelu_pytorch_tanh are")
        }
        return activation
    }

    /// Refuses keys that other families have and this one's class does not know, where they ask for something.
    func refuseForeign(_ keys: [String: Double]) throws {
        for (key, neutral) in keys.sorted(by: { $0.key < $1.key }) {
            guard let value = json[key], !value.isNull, value.bool != false, value.double != neutral else { continue }
            throw unsupported("\(key) is not supported for this family")
        }
    }

    /// A positive number, or nil for null and an absent key.
    func optionalPositive(_ key: String) throws -> Float? {
        guard let number = try optionalDouble(key) else { return nil }
        guard number > 0, number.isFinite, Float(number) > 0, Float(number).isFinite else {
            throw malformed("\(key) is \(number); it must be positive")
        }
        return Float(number)
    }

    /// Which layers slide, from `layer_types`; nil where the file has no such list.
    func slidingLayers(count: Int) throws -> [Bool]? {
        guard let value = json["layer_types"], !value.isNull else { return nil }
        guard let types = value.array else { throw malformed("layer_types is \(value.kindName); it must be a list") }
        guard types.count == count else {
            throw malformed("layer_types has \(types.count) entries for \(count) layers")
        }
        return try types.map {
            switch $0.string {
            case "full_attention": return false
            case "sliding_attention": return true
            default:
                throw unsupported(
                    "layer_types has \($0.string.map { "'\($0)'" } ?? $0.kindName), which is not supported; "
                        + "full_attention and sliding_attention are")
            }
        }
    }
}

extension String {
    /// `LlamaForCausalLM` -> `LlamaModel`: the same weights saved without a head class.
    fileprivate var replacingForBase: String {
        hasSuffix("ForCausalLM") ? String(dropLast("ForCausalLM".count)) + "Model" : self
    }
}

extension GateActivation {
    /// The activation of a name in config.json; nil for others.
    init?(transformersName name: String) {
        switch name {
        case "silu", "swish": self = .silu
        case "gelu_pytorch_tanh": self = .geluTanh
        default: return nil
        }
    }

    /// The name in config.json.
    package var transformersName: String { self == .silu ? "silu" : "gelu_pytorch_tanh" }
}
