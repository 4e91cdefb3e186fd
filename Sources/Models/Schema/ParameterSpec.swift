/// One parameter of a model: its Hugging Face name and shape, and what the model's schema says of it.
package struct ParameterSpec: Sendable, Equatable {
    /// The name in a Hugging Face checkpoint, e.g. `model.layers.0.self_attn.q_proj.weight`.
    package let name: String
    /// `[outputs, inputs]` for a matrix, `[count]` for a vector.
    package let shape: [Int]
    /// Whether a buffer has it right behind the parameter before, because one product uses both.
    package var followsPrevious = false
    /// The name under which a run can ask for an adapter of this matrix; nil where it cannot.
    package let target: AdapterShape.Target?
    package let initialization: Initialization

    package init(name: String, shape: [Int], target: AdapterShape.Target? = nil, initialization: Initialization) {
        self.name = name
        self.shape = shape
        self.target = target
        self.initialization = initialization
    }

    /// Number of values.
    package var count: Int { shape.reduce(1, *) }
    /// Inputs of a matrix, or values of a vector.
    package var columns: Int { shape[shape.count - 1] }
    /// Matrices are stored and broadcast in the compute type, vectors (norms, biases) always in f32.
    package var isMatrix: Bool { shape.count == 2 }
}
