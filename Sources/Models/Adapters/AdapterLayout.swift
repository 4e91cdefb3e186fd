import Rules

/// Which matrices have low-rank adapters, and how strong these are: W' = W + (alpha / rank) B A.
///
/// Hu and others, "LoRA: Low-Rank Adaptation of Large Language Models", 2021.
package struct AdapterShape: Sendable, Equatable {
    /// A projection of every layer, as Hugging Face checkpoints name it.
    package enum Target: String, Sendable, CaseIterable {
        case query = "q_proj"
        case key = "k_proj"
        case value = "v_proj"
        case output = "o_proj"
        case gate = "gate_proj"
        case up = "up_proj"
        case down = "down_proj"
        /// Query, key and value in one matrix (Phi-3).
        case queryKeyValue = "qkv_proj"
        /// Gate and up in one matrix (Phi-3).
        case gateUp = "gate_up_proj"
    }

    /// Rows of A and columns of B, at least 1.
    package var rank: Int
    package var alpha: Float
    /// The matrices that have adapters, in the order of `Target.allCases`.
    package let targets: [Target]

    package init(rank: Int, alpha: Float, targets: Set<Target>) {
        self.rank = rank
        self.alpha = alpha
        self.targets = Target.allCases.filter { targets.contains($0) }
    }

    /// What B A is multiplied by.
    package var scale: Float { alpha / Float(rank) }
}

/// Where the adapters of a model lie in one f32 buffer: for each adapted matrix [N,K] `….lora_A.weight` [rank, K] and
/// `….lora_B.weight` [N, rank].
package struct AdapterLayout: Sendable {
    /// Rank, scale and the targets that the model has.
    package let shape: AdapterShape
    package let places: AdapterPlaces
    package let configuration: ModelConfiguration
    /// Outputs of every matrix of the model.
    private let heights: [String: Int]
    private let adapted: Set<String>

    /// - Throws: `ModelError` when the rank is above what a matrix can have.
    package init(_ configuration: ModelConfiguration, _ shape: AdapterShape) throws {
        precondition(shape.rank > 0, "adapters have a rank")
        self.shape = AdapterShape(
            rank: shape.rank, alpha: shape.alpha, targets: configuration.adapterTargets.intersection(shape.targets))
        self.configuration = configuration
        var matrices: [AdapterPlaces.Matrix] = []
        var heights: [String: Int] = [:], adapted: Set<String> = []
        for spec in configuration.parameters where spec.isMatrix {
            heights[spec.name] = spec.shape[0]
            guard let target = spec.target, shape.targets.contains(target) else { continue }
            let limit = min(spec.shape[0], spec.shape[1])
            guard shape.rank <= limit else {
                throw ModelError(
                    .invalidArgument,
                    "\(shape.rank) is above \(limit), the smaller side of \(spec.name) \(spec.shape)")
            }
            matrices.append(
                .init(stem: Self.stem(of: spec.name), outputs: spec.shape[0], inputs: spec.shape[1]))
            adapted.insert(spec.name)
        }
        self.heights = heights
        self.adapted = adapted
        places = AdapterPlaces(
            matrices, rank: shape.rank, alpha: shape.alpha, targets: self.shape.targets.map(\.rawValue))
    }

    package var parameters: ParameterLayout { places.parameters }

    /// The matrices that have these names.
    /// - Throws: `ModelError` when the model lacks one.
    package static func targets(
        _ names: [String], in configuration: ModelConfiguration
    ) throws -> [AdapterShape.Target] {
        let known = configuration.adapterTargets
        return try names.map { name in
            if let target = AdapterShape.Target(rawValue: name), known.contains(target) { return target }
            let list = AdapterShape.Target.allCases.filter(known.contains).map(\.rawValue).joined(separator: ", ")
            let what = configuration.experts == nil ? "no matrix" : "no matrix with adapters"
            throw ModelError(
                .invalidArgument,
                "\(name) is \(what) of a \(configuration.family.name) model; it has \(list)")
        }
    }

    package func adapts(_ name: String) -> Bool { adapted.contains(name) }

    /// Outputs of a matrix of the model.
    package func height(of name: String) -> Int { heights[name] ?? 0 }

    /// Names of A and B of a matrix `….weight`.
    package static func names(adapting name: String) -> (a: String, b: String) {
        let stem = stem(of: name)
        return (stem + ".lora_A.weight", stem + ".lora_B.weight")
    }

    private static func stem(of name: String) -> String {
        name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name
    }

    /// Trained values.
    package var count: Int { parameters.entries.reduce(0) { $0 + $1.spec.count } }
}

extension ModelConfiguration {
    /// The matrices of the model that can have adapters.
    package var adapterTargets: Set<AdapterShape.Target> {
        Set((0..<layerCount).flatMap { parameters(layer: $0).compactMap(\.target) })
    }
}
