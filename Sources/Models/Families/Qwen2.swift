import JSON

extension Family {
    /// Qwen 1.5, 2 and 2.5 with dense layers: biases on q, k and v alone.
    ///
    /// Defaults are those of transformers' `Qwen2Config`.
    package static let qwen2 = Family(
        name: "qwen2", title: "Qwen 2", architecture: "Qwen2ForCausalLM",
        defaults: Defaults(keyValueHeadCount: 32, maxPositions: 32768),
        schema: ModelSchema(layer: .preNorm),
        gguf: GGUFForm(
            architecture: "qwen2",
            // A file without these would be read as another model.
            refusal: {
                $0.attentionInputBias && !$0.qkNorm ? nil : "biases or q/k norms that a qwen2 model does not have"
            }),
        readKeys: { reader, configuration in
            configuration.attentionInputBias = true
            try reader.readQwenWindow(&configuration)
        },
        writeKeys: { configuration, json in configuration.writeQwenWindow(&json) })
}

extension ConfigReader {
    /// The sliding window of Qwen 2 and 3: where it is turned on, in the layers of `layer_types`, or else in those from
    /// `max_window_layers` on.
    func readQwenWindow(_ configuration: inout ModelConfiguration) throws {
        let types = try slidingLayers(count: configuration.layerCount)
        guard try bool("use_sliding_window", default: false), let window = try int("sliding_window", absent: 4096)
        else {
            guard types?.contains(true) != true else {
                throw malformed("layer_types has sliding_attention, but use_sliding_window or sliding_window is off")
            }
            return
        }
        let first = try optionalInt("max_window_layers") ?? 28
        let kinds = [LayerKind](count: configuration.layerCount) { LayerKind(isSliding: types?[$0] ?? ($0 >= first)) }
        guard !kinds.isEmpty else { return }
        configuration.slidingWindow = window
        configuration.layerKinds = kinds
    }
}

extension ModelConfiguration {
    /// Writes what `ConfigReader.readQwenWindow` reads.
    func writeQwenWindow(_ json: inout JSONObject) {
        json["use_sliding_window"] = .bool(slidingWindow != nil)
        json["sliding_window"] = slidingWindow.map { .integer($0) } ?? .null
        if slidingWindow != nil {
            json["max_window_layers"] = .integer(layerKinds.firstIndex(where: \.isSliding) ?? layerCount)
            json["layer_types"] = layerTypes
        }
    }

    /// `layer_types` of config.json.
    var layerTypes: JSONValue {
        .array((0..<layerCount).map { kind(ofLayer: $0).isSliding ? "sliding_attention" : "full_attention" })
    }
}
