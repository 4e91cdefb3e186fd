extension Family {
    /// Mistral, without a sliding window.
    ///
    /// Defaults are those of transformers' `MistralConfig`, with a window of 4096 where the key is absent. llama.cpp
    /// writes Mistral's models as llama, so GGUF files of them open as ``llama``.
    package static let mistral = Family(
        name: "mistral", title: "Mistral", architecture: "MistralForCausalLM",
        defaults: Defaults(keyValueHeadCount: 8, maxPositions: 131_072, bosTokenID: 1, eosTokenIDs: [2]),
        schema: ModelSchema(layer: .preNorm),
        gguf: Family.llama.gguf,
        readKeys: { reader, configuration in
            try reader.refuseSlidingWindow(
                try reader.int("sliding_window", absent: 4096), context: configuration.maxPositions)
        },
        writeKeys: { _, json in json["sliding_window"] = .null })
}
