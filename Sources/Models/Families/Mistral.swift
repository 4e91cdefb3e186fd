extension Family {
    /// Mistral, with or without a sliding window.
    ///
    /// Defaults are those of transformers' `MistralConfig`, with a window of 4096 where the key is absent. llama.cpp
    /// writes Mistral's models as llama, so GGUF files of them open as ``llama``.
    package static let mistral = Family(
        name: "mistral", title: "Mistral", architecture: "MistralForCausalLM",
        defaults: Defaults(keyValueHeadCount: 8, maxPositions: 131_072, bosTokenID: 1, eosTokenIDs: [2]),
        schema: ModelSchema(layer: .preNorm),
        gguf: Family.llama.gguf,
        readKeys: { reader, configuration in
            try reader.readWindowOfAllLayers(absent: 4096, &configuration)
        },
        writeKeys: { configuration, json in
            json["sliding_window"] = configuration.slidingWindow.map { .integer($0) } ?? .null
        })
}

extension ConfigReader {
    /// A `sliding_window` that every layer has.
    /// - Parameter fallback: what an absent key stands for.
    func readWindowOfAllLayers(absent fallback: Int?, _ configuration: inout ModelConfiguration) throws {
        let window = try int("sliding_window", absent: fallback)
        if let types = try slidingLayers(count: configuration.layerCount), types.contains(window == nil) {
            throw unsupported(
                "layer_types that differ from sliding_window are not supported for this family; one window for all is")
        }
        configuration.slidingWindow = window
        configuration.layerKinds = .init(count: configuration.layerCount) { _ in LayerKind(isSliding: window != nil) }
    }
}
