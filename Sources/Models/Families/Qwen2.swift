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
            try reader.refuseQwenWindow(configuration)
        },
        writeKeys: { _, json in
            json["use_sliding_window"] = false
            json["sliding_window"] = .null
        })
}

extension ConfigReader {
    /// Refuses the sliding window of Qwen 2 and 3: one that is turned on, and that a layer has.
    package func refuseQwenWindow(_ configuration: ModelConfiguration) throws {
        guard try bool("use_sliding_window", default: false) else { return }
        let window = try int("sliding_window", absent: 4096)
        let types = value("layer_types")?.array?.compactMap(\.string)
        let firstWindowLayer = try optionalInt("max_window_layers") ?? 28
        guard types?.contains("sliding_attention") ?? (firstWindowLayer < configuration.layerCount) else { return }
        try refuseSlidingWindow(window, context: configuration.maxPositions)
    }
}
