extension Family {
    /// Phi-3, Phi-3.5 mini and Phi-4-mini: Llama with fused projections, frequencies of their own for long sequences, and
    /// in Phi-4-mini heads that are rotated in part.
    ///
    /// Defaults are those of transformers' `Phi3Config`, which takes earlier files' "su" and "yarn" for longrope.
    package static let phi3 = Family(
        name: "phi3", title: "Phi-3", architecture: "Phi3ForCausalLM",
        defaults: Defaults(maxPositions: 4096, rmsNormEpsilon: 1e-5, bosTokenID: 1, eosTokenIDs: [32000]),
        schema: ModelSchema(layer: .preNormFused),
        rope: RopeForm(
            scalings: ["default", "longrope"], renamed: ["su": "longrope", "yarn": "longrope"], isPartial: true,
            originalMaxPositions: 4096),
        gguf: GGUFForm(
            architecture: "phi3",
            readMetadata: { metadata, configuration in
                guard let window = try metadata.slidingWindow() else { return }
                configuration.slidingWindow = window
                configuration.layerKinds = .init(count: configuration.layerCount) { _ in LayerKind(isSliding: true) }
            }),
        readKeys: { reader, configuration in
            for key in ["attention_bias", "mlp_bias"] where try reader.bool(key, default: false) {
                throw reader.unsupported("\(key) is not supported for phi3, whose projections have none")
            }
            try reader.readWindowOfAllLayers(absent: nil, &configuration)
        },
        writeKeys: { configuration, json in
            json["sliding_window"] = configuration.slidingWindow.map { .integer($0) } ?? .null
        })
}
