/// Makes a smaller model by leaving layers out.
package enum ModelPruning {
    /// Writes `source` without the layers in `dropped` (numbered from 0) as a Hugging Face folder; the others keep
    /// their order and are renumbered.
    ///
    /// Throws ``ModelError`` for a layer that is not there or named twice, and when none would be left.
    package static func prune(
        from source: ModelFiles, to folder: String, dropping dropped: [Int], type: ModelWriter.WeightType? = nil
    ) throws {
        try ModelWriter.refuseSame(source, folder)
        let count = source.configuration.layerCount
        guard !dropped.isEmpty else { throw ModelError(.invalidArgument, "no layer to drop was given") }
        for layer in dropped where !(0..<count).contains(layer) {
            throw ModelError(
                .invalidArgument, "layer \(layer) cannot be dropped: \(source.path) has layers 0 to \(count - 1)")
        }
        let unique = Set(dropped)
        guard unique.count == dropped.count else {
            throw ModelError(.invalidArgument, "a layer to drop is named twice: \(dropped)")
        }
        let kept = (0..<count).filter { !unique.contains($0) }
        guard !kept.isEmpty else {
            throw ModelError(.invalidArgument, "all \(count) layers of \(source.path) would be dropped")
        }
        var configuration = source.configuration
        configuration.layerCount = kept.count
        if let experts = configuration.experts?.layers {
            let layers = Set(kept.indices.filter { experts.contains(kept[$0]) })
            if layers.isEmpty { configuration.experts = nil } else { configuration.experts?.layers = layers }
        }
        // The names in the whole model of the parameters of the smaller one's layers.
        let names = Dictionary(
            uniqueKeysWithValues: kept.enumerated().flatMap { new, old in
                zip(configuration.parameters(layer: new), source.configuration.parameters(layer: old))
                    .map { ($0.name, $1.name) }
            })
        let reader = TensorReader(source)
        try ModelWriter.write(
            to: folder, configuration: configuration, type: type ?? source.naturalWeightType,
            copyingTokenizerFrom: source
        ) { try reader.values(of: names[$0.name] ?? $0.name) }
    }
}
