extension ModelConfiguration {
    package var schema: ModelSchema { family.schema }

    /// Every parameter in the canonical order: the order of the trainer's arena, of weight snapshots and of files
    /// we write. q, k, v and gate, up are adjacent, so that a fused matrix is a slice of the arena.
    package var parameters: [ParameterSpec] {
        [schema.embedding.weight(in: self)] + (0..<layerCount).flatMap(parameters(layer:))
            + [schema.finalNorm.weight(in: self)] + (tiedEmbeddings ? [] : [schema.head.weight(in: self)])
    }

    /// Every parameter of one layer in the canonical order.
    package func parameters(layer index: Int) -> [ParameterSpec] {
        let names = schema.names(layer: index)
        return schema.layer.groups.filter { $0.isPresent(self, index) }.flatMap { group -> [ParameterSpec] in
            if group.role == .experts {
                // Gate and up of an expert are adjacent, its down begins anew.
                return (0..<(experts?.count ?? 0)).flatMap { expert in
                    let matrices = group.modules.map { $0.weight(in: self, prefix: names.prefix, expert: expert) }
                    return Self.adjacent(Array(matrices.prefix(2))) + matrices.dropFirst(2)
                }
            }
            let weights = group.modules.map { $0.weight(in: self, prefix: names.prefix) }
            let biases =
                group.hasBias?(self) == true
                ? group.modules.map { $0.bias(in: self, prefix: names.prefix) } : []
            return Self.adjacent(weights) + Self.adjacent(biases)
        }
    }

    /// Number of trainable values.
    package var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

    /// Number of values of all layers' matrices that a token is multiplied with: of experts those of as many as it goes
    /// through.
    package var layerMatrixCount: Int {
        (0..<layerCount).reduce(0) { sum, layer in
            schema.layer.groups.filter { $0.isPresent(self, layer) }.reduce(sum) { sum, group in
                let times = group.role == .experts ? experts?.perToken ?? 0 : 1
                return group.modules.filter { $0.shape.count == 2 }
                    .reduce(sum) { $0 + times * $1.shape.map(size).reduce(1, *) }
            }
        }
    }

    /// Parameters of which all but the first lie right behind the one before.
    private static func adjacent(_ specs: [ParameterSpec]) -> [ParameterSpec] {
        specs.enumerated().map { index, spec in
            var spec = spec
            spec.followsPrevious = index > 0
            return spec
        }
    }
}

extension Module {
    fileprivate func weight(
        in configuration: ModelConfiguration, prefix: String = "", expert: Int? = nil
    ) -> ParameterSpec {
        ParameterSpec(
            name: prefix + (expert.map(name.ofExpert) ?? name) + ".weight", shape: shape.map(configuration.size),
            target: target,
            initialization: initialization)
    }

    fileprivate func bias(in configuration: ModelConfiguration, prefix: String) -> ParameterSpec {
        ParameterSpec(
            name: prefix + name + ".bias", shape: [configuration.size(shape[0])], initialization: .zeros)
    }
}
