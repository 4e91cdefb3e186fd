/// The parameters of a decoder layer as a table: what each is for, its names, its shape, what it is packed with.
///
/// Everything that needs to know a layer's parameters follows from it: their order and names, which are adjacent in a
/// buffer, how they are packed, which can have adapters, what they begin with, and what llama.cpp calls them.
package struct LayerSchema: Sendable {
    /// All groups in the canonical order; within a group all weights come first, then all biases.
    package let groups: [Group]

    /// What one operation uses together.
    package struct Group: Sendable {
        package let role: Role
        package let modules: [Module]
        /// Whether a layer of a model, by its number, has the group.
        package let isPresent: @Sendable (ModelConfiguration, _ layer: Int) -> Bool
        /// Whether its modules have biases; nil: none ever does.
        package let hasBias: (@Sendable (ModelConfiguration) -> Bool)?

        /// A norm's weight, a vector.
        package static func norm(
            _ role: NormRole, _ name: String, gguf: String, _ size: Dimension,
            when isPresent: @escaping @Sendable (ModelConfiguration) -> Bool = { _ in true }
        ) -> Group {
            let module = Module(name, gguf: gguf, [size], initialization: .ones)
            return Group(
                role: .norm(role), modules: [module], isPresent: { configuration, _ in isPresent(configuration) },
                hasBias: nil)
        }

        /// Matrices that are stacked by rows and multiplied at once, with their biases.
        package static func matrices(
            _ group: MatrixGroup, bias: @escaping @Sendable (ModelConfiguration) -> Bool, _ modules: [Module],
            when isPresent: @escaping @Sendable (ModelConfiguration, _ layer: Int) -> Bool = { _, _ in true }
        ) -> Group {
            Group(role: .matrices(group), modules: modules, isPresent: isPresent, hasBias: bias)
        }
    }

    package enum Role: Sendable, Equatable {
        case norm(NormRole)
        case matrices(MatrixGroup)
        /// The matrices of every expert: gate, up and down, in whose names `*` stands for the expert's number.
        case experts
    }
}

/// A weight of a model and, where its group has them, its bias.
package struct Module: Sendable {
    /// Hugging Face's name without `.weight`; a layer's after the prefix of the layer.
    package let name: String
    /// llama.cpp's name, likewise.
    package let gguf: String
    /// `[outputs, inputs]` of a matrix, `[count]` of a vector.
    package let shape: [Dimension]
    /// The name under which a run can ask for an adapter; nil where it cannot.
    package let target: AdapterShape.Target?
    /// Heads whose rows llama.cpp's converter reorders for llama; nil where it reorders none.
    package let rotaryHeads: Dimension?
    package let initialization: Initialization

    package init(
        _ name: String, gguf: String, _ shape: [Dimension], target: AdapterShape.Target? = nil,
        rotaryHeads: Dimension? = nil, initialization: Initialization = .normal
    ) {
        self.name = name
        self.gguf = gguf
        self.shape = shape
        self.target = target
        self.rotaryHeads = rotaryHeads
        self.initialization = initialization
    }

    /// The same, of which no adapter can be asked for.
    var withoutAdapter: Module {
        Module(name, gguf: gguf, shape, rotaryHeads: rotaryHeads, initialization: initialization)
    }

    /// Hugging Face's name of the weight of a module outside the layers.
    package var weight: String { name + ".weight" }
}

/// A size of a model, for shapes.
package enum Dimension: Sendable {
    case vocabulary, hidden, intermediate
    /// All queries of a token: heads times head size.
    case queries
    /// All keys, or all values, of a token: key-value heads times head size.
    case keys
    /// Queries, keys and values of a token in one.
    case queriesKeysValues
    /// Gates and ups of a token in one: twice the intermediate size.
    case gatesUps
    case headSize, heads, keyValueHeads
    /// Experts of a layer, and the width of one.
    case experts, expertIntermediate
}

extension ModelConfiguration {
    package func size(_ dimension: Dimension) -> Int {
        switch dimension {
        case .vocabulary: vocabularySize
        case .hidden: hiddenSize
        case .intermediate: intermediateSize
        case .queries: headCount * headDimension
        case .keys: keyValueHeadCount * headDimension
        case .queriesKeysValues: (headCount + 2 * keyValueHeadCount) * headDimension
        case .gatesUps: 2 * intermediateSize
        case .headSize: headDimension
        case .heads: headCount
        case .keyValueHeads: keyValueHeadCount
        case .experts: experts?.count ?? 0
        case .expertIntermediate: experts?.intermediateSize ?? 0
        }
    }
}
